#pragma once
// What a finished model is worth: its accuracy and its agreement with the fp32 model it stands for,
// sample by sample, and the verdict on a target. Values in, values out; the times and sizes come
// from deploy/measurement.h.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <string>    // for string
#include <vector>    // for vector

#include "core/constraints.h"
#include "core/json.h"
#include "data/dataset.h"
#include "deploy/measurement.h"
#include "deploy/runtime/program.h"
#include "models/executor.h"

namespace coppice {

// Top-1: the class of the largest logit, the first of equal ones. `logits` are not empty.
std::int64_t top_class(std::span<const float> logits);

// Top-1 of two models on the same labels.
struct PairedCounts {
  std::int64_t labels = 0;
  std::int64_t correct = 0;            // of the artefact
  std::int64_t reference_correct = 0;  // of the fp32 model; 0 without one
  std::int64_t equal = 0;              // both gave the same class
  bool has_reference = false;

  double accuracy() const;
  std::optional<double> agreement() const;
  std::optional<double> reference_accuracy() const;
};

// Runs the artefact on every sample of `split`. `reference` may be null: then nothing is compared.
// Throws ModelError for a program that the runtime does not run, ConfigError if the data does
// not fit the model.
struct Reference {
  Executor* executor = nullptr;
  std::span<const float> parameters;
};
// Which batches of 256 samples are counted: b % parts == part.
struct ScoreShare {
  std::int64_t part = 0;
  std::int64_t parts = 1;
};
PairedCounts score(const runtime::Program& program, const Dataset& dataset, const Split& split,
                   const Reference* reference, ScoreShare share = {});

// The content of report.json.
struct Validation {
  std::int64_t file_bytes = 0;
  Measurement measurement;
  PairedCounts counts;              // on the test split
  std::optional<double> retention;  // as far as the caller can tell
  // What is held against the limit in place of `retention`, by a caller who knows how sure it is.
  std::optional<double> judged_retention = {};
  std::string model_sha256;  // of the model in the file
  std::string file_sha256;
};

struct Verdict {
  std::string name;  // "max_bytes"
  double limit = 0.0;
  std::optional<double> measured;  // nothing: could not be measured, which is not met
  bool is_met = false;
};
// One for every constraint that is set, in the order of Constraints.
std::vector<Verdict> judge(const Constraints& limits, const Validation& validation);

// {name: {limit, measured, met}}.
Json verdicts_json(std::span<const Verdict> verdicts);

// The fields that are the model's: file_bytes, latency_us, spin_us, peak_memory_bytes, memory,
// accuracy, agreement, runs, threads, hashes. The caller adds machine and versions.
Json report_json(const Validation& validation);

}  // namespace coppice
