#pragma once
// Runs a Program fast, one sample at a time. What every number means says interpreter.h; integer
// operations give the interpreter's codes bit for bit on every instruction set, fp32 ones differ in
// the order of sums.
//
// Images lie with their channels innermost, so that one layer's output is the next one's operand.
// Weights lie as the kernels read them (layout.h); those that a program has in rows are laid out
// when the engine is made. A program whose vectors are cut where channels innermost would matter
// (a slice of a flattened image), or whose padding would take more than a tensor may, runs on the
// interpreter's loops.
//
// An engine belongs to one thread at a time; run() allocates nothing. A copy shares the weights,
// which nobody writes, and has an arena of its own: one for each thread. Engines may be copied at
// the same time. An engine may also have threads of its own, which divide its steps (workers.h).

#include <cstddef>      // for byte
#include <cstdint>      // for int64_t
#include <memory>       // for shared_ptr, unique_ptr
#include <optional>     // for optional
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/interpreter.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/program.h"
#include "deploy/runtime/schedule.h"
#include "deploy/runtime/workers.h"
#include "kernels/integer/integer.h"

namespace coppice::runtime {

// The fastest loops of this processor, or those that COPPICE_ISA names. Throws ModelError if it
// names others than there are, listing them.
const kernels::IntegerKernels& chosen_kernels();

// The weights of all products, each at the start of a cache line, with what kernels may read
// behind.
struct WeightStore {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines;
  std::vector<std::size_t> first_line;  // by node
};

constexpr std::int64_t kMaxThreads = 64;
// Multiply-adds of a step below which waking others takes longer than it saves.
constexpr std::int64_t kLeastDividedWork = 200'000;

class Engine {
 public:
  // Throws ModelError as the interpreter does.
  explicit Engine(Program program, const kernels::IntegerKernels& kernels = chosen_kernels());
  Engine(Engine&&) = default;
  Engine& operator=(Engine&&) = default;
  Engine(const Engine& other);
  Engine& operator=(const Engine& other) { return *this = Engine(other); }
  ~Engine() = default;

  const InputSpec& input() const { return program().input; }
  std::string_view isa() const { return reference_ ? "reference" : kernels_->isa; }
  std::int64_t sample_size() const;
  std::int64_t logit_count() const;
  // Of the one arena, activations and the scratch of the largest step, and of the strips that more
  // threads than one have of their own. Weights are not in it.
  std::int64_t peak_activation_bytes() const;
  // The arena itself, for who looks which of its bytes a run writes (arena_use.h).
  std::span<std::byte> arena() { return reference_ ? reference_->arena() : std::span(arena_); }

  // How many threads work on a sample, 1 to kMaxThreads; the caller of run() is one of them. Steps
  // of `least_work` multiply-adds and more are divided: outputs of products, by rows or channels.
  // Every number gives the same bits. Threads are those of this engine, a copy starts its own; they
  // sleep between samples. Programs that run on the interpreter's loops ignore them. Throws
  // ModelError out of range, std::system_error if the system has no thread to give.
  void set_threads(std::int64_t threads, std::int64_t least_work = kLeastDividedWork);
  std::int64_t threads() const { return workers_ ? workers_->threads() : 1; }

  // As Interpreter::run() and profile().
  void run(std::span<const float> sample, std::span<float> logits);
  std::vector<NodeTime> profile(std::span<const float> sample, std::int64_t runs);

 private:
  const Program& program() const { return reference_ ? reference_->program() : *program_; }
  void build(Program program, const Inference& inference);
  void add_steps(const Inference& inference, const Schedule& schedule,
                 std::vector<LiveTensor>& memory);
  void read_sample(const float* sample);
  EngineStep planned_step(const Inference& inference, std::size_t index, std::size_t output) const;
  void place(EngineStep& step, const Schedule& schedule);
  void run_step(const EngineStep& step);

  std::shared_ptr<const Program> program_;  // without the weights of its products
  std::shared_ptr<const WeightStore> weights_;
  const kernels::IntegerKernels* kernels_;
  std::optional<Interpreter> reference_;  // of a program that is not built
  std::vector<std::byte> arena_;
  std::vector<Tensor> tensors_;  // one a node; images with channels innermost
  std::vector<EngineStep> steps_;
  std::unique_ptr<Workers> workers_;  // null: one thread
  std::vector<std::byte> strips_;     // of all threads but the first
  std::int64_t least_work_ = kLeastDividedWork;
};

}  // namespace coppice::runtime
