/* Classifies one sample: `coppice-example MODEL.cpk < values`, values as text in the order of the
   model's input, separated by white space. Prints each output with its label. */
#include <stdio.h>
#include <stdlib.h>

#include "deploy/runtime/coppice_runtime.h"

static int fail(const char* what) {
  fprintf(stderr, "coppice-example: %s\n", what);
  return 1;
}

static int classify(const struct CoppiceModel* model, struct CoppiceSession* session, float* sample,
                    float* outputs) {
  const size_t inputs = coppice_model_input_size(model);
  const size_t classes = coppice_model_output_size(model);
  for (size_t i = 0; i < inputs; ++i) {
    if (scanf("%f", &sample[i]) != 1) return fail("too few values on standard input");
  }
  if (coppice_session_run(session, sample, inputs, outputs, classes) != kCoppiceOk)
    return fail(coppice_last_error());
  for (size_t i = 0; i < classes; ++i) {
    const char* label = coppice_model_label(model, i);
    printf("%.9g %s\n", outputs[i], label == NULL ? "" : label);
  }
  return 0;
}

int main(int argc, char** argv) {
  struct CoppiceModel* model = NULL;
  struct CoppiceSession* session = NULL;
  if (argc != 2) return fail("usage: coppice-example MODEL.cpk < values");
  if (coppice_model_open(argv[1], &model) != kCoppiceOk ||
      coppice_session_create(model, 1, &session) != kCoppiceOk) {
    coppice_model_destroy(model);
    return fail(coppice_last_error());
  }
  float* sample = malloc(coppice_model_input_size(model) * sizeof *sample);
  float* outputs = malloc(coppice_model_output_size(model) * sizeof *outputs);
  const int status = sample == NULL || outputs == NULL ? fail("out of memory")
                                                       : classify(model, session, sample, outputs);
  free(outputs);
  free(sample);
  coppice_session_destroy(session);
  coppice_model_destroy(model);
  return status;
}
