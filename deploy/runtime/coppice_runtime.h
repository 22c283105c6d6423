#pragma once
// Coppice's deployment runtime for C and C++: reads a .cpk and computes its outputs, a sample at a
// time. This header needs nothing but a C99 or C++ compiler; link with libcoppice_runtime.a,
// libcoppice_kernels.a, zlib and the C++ library (docs/runtime.md, deploy/runtime/example.c).
//
// A model is what a file says, and never changes: any threads may use it at the same time. A
// session runs it and belongs to one thread at a time; sessions of one model share its weights,
// and run at the same time without knowing of each other.
//
// Functions that can fail return a CoppiceStatus; on anything but kCoppiceOk they leave a sentence
// in coppice_last_error() and write nothing else, but that coppice_model_... and
// coppice_session_create() set *out to null. No exception leaves a function. Null is refused with
// kCoppiceWrongUse, or with 0 or null by functions that return no status. What was destroyed or
// never made may not be passed.

#include <stddef.h>  // for size_t

#define COPPICE_RUNTIME_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

enum CoppiceStatus {
  kCoppiceOk = 0,
  kCoppiceWrongUse = 1,      // an argument, or the environment's COPPICE_ISA
  kCoppiceCannotRead = 2,    // there is no such file, or it cannot be read
  kCoppiceBadModel = 3,      // damaged, no .cpk, of another version, or more than this one runs
  kCoppiceNoMemory = 4,      // the system refused memory
  kCoppiceNoThread = 5,      // the system refused a thread
  kCoppiceInternalError = 6  // a mistake of this library
};

struct CoppiceModel;
struct CoppiceSession;

// COPPICE_RUNTIME_VERSION of the library that is linked. Lives for ever.
const char* coppice_version(void);

// Why the last function that failed in this thread did, in English, at most 1000 bytes; "" if none
// has. Lives until another one fails in this thread; copy it to keep it.
const char* coppice_last_error(void);

// Reads the .cpk at `path` into a new model, which the caller destroys. Nothing is taken on trust:
// lengths, hash, shapes and values are checked, and memory is asked for only where the file is
// large enough to fill it. The file is mapped while it is read and not needed afterwards; another
// process must not cut it short meanwhile.
enum CoppiceStatus coppice_model_open(const char* path, struct CoppiceModel** out);

// The same of `size` bytes in memory, which are not needed afterwards.
enum CoppiceStatus coppice_model_from_memory(const void* bytes, size_t size,
                                             struct CoppiceModel** out);

// Sessions of the model live on. Null is allowed.
void coppice_model_destroy(struct CoppiceModel* model);

// Values of a sample and of its outputs (for a classifier: logits, one a class).
size_t coppice_model_input_size(const struct CoppiceModel* model);
size_t coppice_model_output_size(const struct CoppiceModel* model);

// The shape of a sample, whose values lie in this order, the last axis innermost: {channels,
// height, width}, {steps, features} or {features}. 0 for an axis that there is not.
size_t coppice_model_input_rank(const struct CoppiceModel* model);
size_t coppice_model_input_axis(const struct CoppiceModel* model, size_t axis);

// Names of the outputs, in their order; a file may have none. Null for a label that there is not.
// Texts live as long as the model.
size_t coppice_model_label_count(const struct CoppiceModel* model);
const char* coppice_model_label(const struct CoppiceModel* model, size_t label);

// The name of the model, and the instruction set its sessions run on: "baseline", "avx2", "avx512",
// "avx512-vnni", or "reference" for a program that only the plain loops can run. The best that the
// processor has, or COPPICE_ISA of the environment when the model is made. Live as long as the
// model.
const char* coppice_model_name(const struct CoppiceModel* model);
const char* coppice_model_isa(const struct CoppiceModel* model);

// A new session, which the caller destroys, with memory of its own for activations. `threads`, 1 to
// 64, work on each sample: the caller of coppice_session_run() and others that the session starts
// here, which sleep between samples. Any number gives the same outputs, bit for bit; more than
// there are idle cores cost time. One model may make sessions in several threads at the same time.
enum CoppiceStatus coppice_session_create(const struct CoppiceModel* model, int threads,
                                          struct CoppiceSession** out);

// The outputs of one sample. `sample_size` and `output_size` count values and are those of the
// model, else kCoppiceWrongUse. Allocates nothing and takes no lock unless it fails. Values may be
// anything; what is not a number may give outputs that are none.
enum CoppiceStatus coppice_session_run(struct CoppiceSession* session, const float* sample,
                                       size_t sample_size, float* outputs, size_t output_size);

// Ends its threads. Not while it runs. Null is allowed.
void coppice_session_destroy(struct CoppiceSession* session);

#ifdef __cplusplus
}
#endif
