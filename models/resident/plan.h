#pragma once
// A graph as a fixed sequence of steps over one arena, for blocks of a few chunks of samples: what
// is computed, where it lies and who adds to whose gradient is settled when the plan is made.
// Internal to models/resident. Refers to the graph, which must outlive it. Not thread-safe.

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <functional>   // for function
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "models/resident/draft.h"
#include "models/resident/layout.h"
#include "models/resident/lifetimes.h"
#include "models/resident/step.h"

namespace coppice::resident {

// Empty if the graph can be planned, else the first node that cannot.
std::string unsupported(const Graph& graph);

struct PlanStep {
  std::unique_ptr<Step> step;
  std::size_t node = 0;     // of the graph
  std::string_view suffix;  // empty: the node's operation itself, else what is put behind or before
  bool trains = false;      // there is a gradient of its output
  bool writes_input_gradient = false;
  bool has_channels_innermost = false;  // its output
  Tensor signs;                         // with Tensor::signs: the output, whose signs are kept
};

class Plan {
 public:
  // Throws KernelError for a graph that is unsupported().
  Plan(const Graph& graph, const kernels::LaneKernels& kernels, const PlanOptions& options);

  std::int64_t block_samples() const { return layout_.block_samples; }
  const std::vector<PlanStep>& steps() const { return steps_; }
  // Bytes of the arena: values, gradients of values, and what stands in for values.
  std::int64_t arena_bytes() const;
  // What steps take beside it for a training step on blocks of at most `samples`.
  StepMemory step_memory(std::int64_t samples) const;
  // What steps can update early, by offset.
  std::span<const ParameterRange> early_parts() const { return early_parts_; }

  // `block` as from block(). Outputs stand until the next call.
  void forward(const Block& block);
  // After forward(), with block.gradient set in both, and with the gradient of the output in place;
  // begins or adds to block.gradient.
  void backward(const Block& block);

  // The first block_samples() or fewer of `samples` rows.
  Block block(std::span<const float> rows, std::int64_t first, std::int64_t samples) const;

  // Row by row, [samples][elements of the node]: what forward() left of nodes[node], as its readers
  // see it; with keeps_every_node, of any node.
  void read(std::size_t node, const Block& block, float* rows) const;
  // The gradient of the last node's output.
  void set_output_gradient(const Block& block, const float* rows);

 private:
  // A tensor that is kept as codes.
  struct Coded {
    Tensor tensor;
    Slot slot;
    float* codes = nullptr;
    std::size_t made_after = 0;   // step, forward
    std::size_t read_before = 0;  // step, backward
  };

  std::vector<Tensor> make_tensors(const Draft& draft, const Lifetimes& lifetimes);  // by slot
  StepInputs inputs_of(const Draft& draft, const std::vector<Tensor>& tensors, std::size_t s) const;
  void make_steps(const Draft& draft, const std::vector<Tensor>& tensors,
                  const Lifetimes& lifetimes);
  std::uint32_t* words_at(std::int64_t offset) const;
  // Visits every group of a coded tensor: its values, their number of registers, the words, the
  // bounds.
  template <typename Visit>
  void each_group(const Coded& coded, const Block& block, const Visit& visit) const;
  void keep(std::size_t step, const Block& block) const;
  void restore(std::size_t step, const Block& block) const;

  const Graph& graph_;
  const kernels::LaneKernels& kernels_;
  Layout layout_;
  std::vector<Tensor> tensor_of_node_;
  std::vector<PlanStep> steps_;
  std::vector<Coded> coded_;
  std::vector<ParameterRange> early_parts_;
  std::unique_ptr<Scratch> scratch_;
  AlignedBuffer arena_;
};

}  // namespace coppice::resident
