#pragma once
// Runs a Graph: forward, loss, backward and the optimizer's step, as a LocalPlan says. One executor
// per rank stays resident; clients stream through it, so memory does not grow with the cohort.
//
// With a QuantPlan the forward is fake-quantized (Jacob et al. 2018, section 3): the weights and
// node outputs it names are replaced by the nearest value of their grid, as fp32. In training,
// gradients pass straight through where the code does not saturate and are zero where it does
// (Bengio et al. 2013, section 4); the optimizer updates the fp32 weights behind the codes. Biases
// of products of codes are rounded to their integers' grid, and their gradients pass.
//
// Deterministic: for one implementation, ISA and library version, train() and evaluate() are
// functions of their arguments. Not thread-safe: one executor belongs to one thread.
// Implementations: libtorch (complete, the reference) and resident (hand-planned CPU loops for
// small convolutional and fully connected networks, several times faster).

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <functional>   // for function
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "core/local_plan.h"
#include "core/mask.h"
#include "core/quant_plan.h"

namespace coppice {

// Where batches come from: gathers samples [n, sample_size] as fp32 and labels [n,
// labels_per_sample] by index.
struct SampleSource {
  std::int64_t size = 0;  // samples; indices are in [0, size)
  std::function<void(std::span<const std::int64_t> indices, std::span<float> samples)> samples;
  std::function<void(std::span<const std::int64_t> indices, std::span<std::int32_t> labels)> labels;
};

// What the teacher of the plan's loss terms says about samples of the request's source, by the
// source's indices. A function that no term needs may be empty; the others fill their span with
// finite values and return the same ones for the same index.
struct Teacher {
  // [n, labels_per_sample, classes]: for distillation terms.
  std::function<void(std::span<const std::int64_t> indices, std::span<float> logits)> logits = {};
  // [n, feature_size], the output of a node of the teacher's: for the feature matching term.
  std::function<void(std::span<const std::int64_t> indices, std::span<float> features)> features =
      {};
  std::int64_t feature_size = 0;  // need not be the student's
};

struct TrainRequest {
  const LocalPlan* plan = nullptr;
  const SampleSource* source = nullptr;
  std::span<const float> global = {};  // the model the client starts from, parameter_count floats
  std::span<const float> linear_correction = {};  // empty, or parameter_count floats
  const Mask* mask = nullptr;                     // with MaskRule::kKeepZero
  const QuantPlan* quant = nullptr;               // null or empty: fp32
  const Teacher* teacher = nullptr;               // for the loss terms that have one
  std::uint64_t seed = 1;  // batch order and dropout: Philox of (seed, purpose, client, round)
  std::int64_t client = 0;
  std::int64_t round = 1;
};

struct TrainResult {
  // Cross-entropy with the labels, before each step; its mean over all labels seen. The weights of
  // loss terms, distillation, the proximal term and the like are not in it: losses of rounds with
  // different plans compare.
  double mean_loss = 0.0;
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

// The model that is asked: its parameters and, if it is to answer as an integer model, its grids.
struct ModelView {
  std::span<const float> parameters;  // parameter_count floats
  const QuantPlan* quant = nullptr;   // null or empty: fp32
  // Null or of size 0: none. Masked parameters are zero; whoever trains keeps them so.
  const Mask* mask = nullptr;
};

// Receives the output of nodes[node] for all samples of the batch, [n, shape of the node]. `values`
// is valid during the call.
using NodeVisitor = std::function<void(std::size_t node, std::span<const float> values)>;

// Bytes that are there at once while a client trains, or answers. Samples of the client that no
// step is on are not in it: they may be on a disk.
struct MemoryUse {
  std::int64_t weights = 0;
  std::int64_t gradient = 0;
  std::int64_t optimizer = 0;     // momentum and the like
  std::int64_t global_model = 0;  // what the client started from, or the model that is asked
  std::int64_t grids = 0;         // weights on their grids
  std::int64_t activations = 0;   // values, their gradients, and what is kept in place of values
  std::int64_t work_space = 0;    // of operations and the loss
  std::int64_t samples = 0;       // those that are read at once, their labels, and the order of all
  std::int64_t teacher = 0;       // all of it

  std::int64_t total() const {
    return weights + gradient + optimizer + global_model + grids + activations + work_space +
           samples + teacher;
  }
  friend bool operator==(const MemoryUse&, const MemoryUse&) = default;
};

struct MemoryQuestion {
  const LocalPlan* plan = nullptr;   // null: of an executor that only answers
  const QuantPlan* quant = nullptr;  // null or empty: fp32
  std::int64_t samples = 1;          // of the client; without a plan, asked at once
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
  // for sizes that do not match, for a loss term whose teacher is missing, and for a quantization
  // plan that does not fit the graph.
  virtual TrainResult train(const TrainRequest& request) = 0;

  // The trained parameters, parameter_count floats; valid until the next call.
  virtual std::span<const float> parameters() const = 0;

  // Hands them over in `buffer`, of as many floats, whose memory the next training may take. What
  // parameters() shows is unspecified until then.
  virtual void take_parameters(AlignedBuffer& buffer) = 0;

  // Cross-entropy and top-1 of `model` on samples `indices`, in one batch. No dropout.
  virtual EvalResult evaluate(const ModelView& model, const SampleSource& source,
                              std::span<const std::int64_t> indices) = 0;

  // Logits of `samples` ([n, sample_size] fp32), n * labels_per_sample * classes floats.
  virtual std::vector<float> infer(const ModelView& model, std::span<const float> samples) = 0;

  // Runs `samples` in one batch, without dropout, and hands over the outputs of `nodes` (names),
  // in the graph's order, as later nodes read them: fake-quantized where the plan of `model` says.
  // Throws ConfigError for an unknown node.
  virtual void observe(const ModelView& model, std::span<const float> samples,
                       std::span<const std::string> nodes, const NodeVisitor& visit) = 0;

  // What an executor that does nothing else takes; without the teacher. Nothing: its library
  // allocates as it likes, and it is not known.
  virtual std::optional<MemoryUse> memory(const MemoryQuestion& question) const = 0;
};

// Which executor a run takes; settled once, before its first round, and the same on every rank.
struct ExecutorChoice {
  std::string name;    // "resident" or "libtorch"
  std::string reason;  // why "auto" took LibTorch's; else empty
};

// `asked` is "auto", "resident" or "libtorch". "auto" takes the resident executor if it can run all
// of `graphs` and loss `terms`, else LibTorch's. Throws ConfigError for another name, and for
// "resident" where it cannot, naming the layer or the term.
ExecutorChoice choose_executor(std::string_view asked, std::span<const Graph* const> graphs,
                               std::span<const LossKind> terms = {});

// Empty if `executor` (resident or libtorch) can save on memory as `plan` says when it trains
// `graph`, else the lever that it cannot pull, by the name of its key, and why.
std::string refused_memory(std::string_view executor, const Graph& graph, const LocalPlan& plan);

// The executor `name` for `graph`, "auto" by the graph alone. Throws ConfigError for an unknown
// name, KernelError for an op that the executor lacks, naming the node.
std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph);

// Once at the start of a process that trains: one intra-op thread, and glibc's malloc keeps freed
// blocks.
void configure_process_for_training();

// "libtorch 2.11.0"
std::string executor_library_version();
// The instruction set that `executor` dispatches to: "AVX512", "AVX2" or another.
std::string executor_isa(std::string_view executor);

}  // namespace coppice
