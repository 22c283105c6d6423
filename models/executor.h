#pragma once
// Runs a Graph: forward, loss, backward and the optimizer's step, as a LocalPlan says. One executor
// per rank stays resident; clients stream through it, so memory does not grow with the cohort.
//
// Deterministic: for one implementation, ISA and library version, train() and evaluate() are
// functions of their arguments. Not thread-safe: one executor belongs to one thread.
// Implementations: libtorch (complete, the reference).

#include <cstdint>      // for int64_t
#include <functional>   // for function
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"
#include "core/local_plan.h"
#include "core/mask.h"

namespace coppice {

// Where batches come from: gathers samples [n, sample_size] as fp32 and labels [n,
// labels_per_sample] by index.
struct SampleSource {
  std::int64_t size = 0;  // samples; indices are in [0, size)
  std::function<void(std::span<const std::int64_t> indices, std::span<float> samples)> samples;
  std::function<void(std::span<const std::int64_t> indices, std::span<std::int32_t> labels)> labels;
};

struct TrainRequest {
  const LocalPlan* plan = nullptr;
  const SampleSource* source = nullptr;
  std::span<const float> global = {};  // the model the client starts from, parameter_count floats
  std::span<const float> linear_correction = {};  // empty, or parameter_count floats
  const Mask* mask = nullptr;                     // with MaskRule::kKeepZero
  std::uint64_t seed = 1;  // batch order and dropout: Philox of (seed, purpose, client, round)
  std::int64_t client = 0;
  std::int64_t round = 1;
};

struct TrainResult {
  double mean_loss = 0.0;    // over all samples seen, data terms only
  std::int64_t correct = 0;  // labels predicted right while training, before each step
  std::int64_t labels_seen = 0;
  std::int64_t samples_seen = 0;
  std::int64_t steps = 0;
};

struct EvalResult {
  double loss_sum = 0.0;  // cross-entropy summed over labels
  std::int64_t correct = 0;
  std::int64_t labels = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;

  virtual std::string_view name() const = 0;
  virtual const Graph& graph() const = 0;

  // Empty if `plan` can be run, else what cannot and why ("loss term distillation: ..."). Asked
  // before round 1.
  virtual std::string refusal(const LocalPlan& plan) const = 0;

  // Trains from `request.global` with fresh optimizer state; the result stands in parameters().
  // Losses may be non-finite (a poisoned client): they are reported, not thrown. Throws ConfigError
  // for sizes that do not match.
  virtual TrainResult train(const TrainRequest& request) = 0;

  // The trained parameters, parameter_count floats; valid until the next call.
  virtual std::span<const float> parameters() const = 0;

  // Cross-entropy and top-1 of `parameters` on samples `indices`, in one batch. No dropout.
  virtual EvalResult evaluate(std::span<const float> parameters, const SampleSource& source,
                              std::span<const std::int64_t> indices) = 0;

  // Logits of `samples` ([n, sample_size] fp32), n * labels_per_sample * classes floats.
  virtual std::vector<float> infer(std::span<const float> parameters,
                                   std::span<const float> samples) = 0;
};

// The executor `name` ("auto" or "libtorch") for `graph`. Throws ConfigError for another name,
// KernelError for an op that the executor lacks, naming the node.
std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph);

// Once at the start of a process that trains: one intra-op thread, and glibc's malloc keeps freed
// blocks.
void configure_process_for_training();

// "libtorch 2.11.0" and the instruction set LibTorch dispatches to ("AVX512").
std::string executor_library_version();
std::string executor_isa();

}  // namespace coppice
