#pragma once
// Runs a Program fast, one sample at a time. What every number means says interpreter.h; integer
// operations give the interpreter's codes bit for bit on every instruction set, fp32 ones differ in
// the order of sums.
//
// Images lie with their channels innermost, so that one layer's output is the next one's operand.
// Integer convolutions and matrices are products of 16-bit pairs (kernels/integer/integer.h) with
// weights that are packed once, when the engine is made. A program whose vectors are cut where
// channels innermost would matter (a slice of a flattened image), or whose padding would take more
// than a tensor may, runs on the interpreter's loops.
//
// One engine belongs to one thread; run() allocates nothing.

#include <cstddef>      // for byte
#include <cstdint>      // for int64_t
#include <optional>     // for optional
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "deploy/runtime/engine_step.h"
#include "deploy/runtime/interpreter.h"
#include "deploy/runtime/program.h"
#include "kernels/integer/integer.h"

namespace coppice::runtime {

// The fastest loops of this processor, or those that COPPICE_ISA names. Throws ModelError if it
// names others than there are, listing them.
const kernels::IntegerKernels& chosen_kernels();

class Engine {
 public:
  // Throws ModelError as the interpreter does.
  explicit Engine(Program program, const kernels::IntegerKernels& kernels = chosen_kernels());
  Engine(Engine&&) = default;
  Engine& operator=(Engine&&) = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() = default;

  const Program& program() const { return reference_ ? reference_->program() : program_; }
  std::string_view isa() const { return reference_ ? "reference" : kernels_->isa; }
  std::int64_t sample_size() const;
  std::int64_t logit_count() const;
  // Of the one arena: activations and the scratch of the largest step. Packed weights are not in
  // it.
  std::int64_t peak_activation_bytes() const;

  // As Interpreter::run() and profile().
  void run(std::span<const float> sample, std::span<float> logits);
  std::vector<NodeTime> profile(std::span<const float> sample, std::int64_t runs);

 private:
  void build(const Inference& inference, std::span<const Order> orders);
  void read_sample(const float* sample);

  Program program_;
  const kernels::IntegerKernels* kernels_;
  std::optional<Interpreter> reference_;  // of a program that is not built
  std::vector<std::byte> arena_;
  std::vector<Tensor> tensors_;  // one a node; images with channels innermost
  std::vector<EngineStep> steps_;
};

}  // namespace coppice::runtime
