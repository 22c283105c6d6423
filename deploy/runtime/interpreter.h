#pragma once
// Runs a Program, one sample at a time: the reference that says what every number of a .cpk means.
// Integer parts are exact: the same codes on every machine. One interpreter belongs to one thread;
// run() allocates nothing.
//
// A node has codes if it has a grid, or moves values (max_pool2d, flatten, dropout, slice,
// last_step) of an input that has; else it is fp32. conv2d and linear with codes as input and as
// weights ("integer"):
//   accumulator = sum (code - zero_point) * weight_code + bias_code      int32; padding is zero
//   with a grid:  code  = clamp(round_half_even(float(accumulator) * M[c]) + zero_point, 0, 255)
//                 M[c]  = input_scale * weight_scale[c] / output_scale   fp32, from left to right
//   without one:  value = float(accumulator) * (input_scale * weight_scale[c])
// An integer conv2d or linear without a grid that only a relu or relu6 with a grid reads is
// computed with that grid's M, and saturates at the codes of 0 and 6: the pair is one operation.
//   avg_pool2d, global_avg_pool of codes: float(sum (code - zero_point)) * (scale / n), n all of
//   the window, padding included; max_pool2d ignores padding
// Everything else reads values, (code - zero_point) * scale, computes in fp32, and stores
// clamp(round_half_even(value / scale) + zero_point, 0, 255) where there is a grid. Codes of what
// is not a number are 0.

#include <cstddef>      // for byte
#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "deploy/runtime/program.h"
#include "deploy/runtime/step.h"

namespace coppice::runtime {

// Tensors share memory once nobody needs them; kAll keeps every one for codes() and values().
enum class Keep { kNeeded, kAll };

// What a node took of a run. The name is the program's.
struct NodeTime {
  std::string_view node;
  double microseconds = 0.0;
};

class Interpreter {
 public:
  // Throws ModelError for a program that is not valid, naming the node of an operation that this
  // version does not run, and for inputs of ids.
  explicit Interpreter(Program program, Keep keep = Keep::kNeeded);
  Interpreter(Interpreter&&) = default;
  Interpreter& operator=(Interpreter&&) = default;
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter() = default;

  const Program& program() const { return program_; }
  std::int64_t sample_size() const;
  std::int64_t logit_count() const;
  // Of the one arena: activations and the scratch of the largest step.
  std::int64_t peak_activation_bytes() const;
  std::span<std::byte> arena() { return arena_; }

  // `sample` are sample_size() values in the order of the input's shape, `logits` gets
  // logit_count(). Throws ModelError for other sizes.
  void run(std::span<const float> sample, std::span<float> logits);

  // Where the time of a sample goes: one entry a node, in the program's order, the median of `runs`
  // runs by the steady clock. A node that is folded into the one before and one that changes
  // nothing have 0; the input has what bringing the sample onto its grid takes. Reading the clock
  // adds some 50 ns to each. Throws ModelError for another size of sample, or fewer runs than one.
  std::vector<NodeTime> profile(std::span<const float> sample, std::int64_t runs);

  // The output of a node in the last run. Throws ModelError without Keep::kAll, for a name that is
  // not there, a node that is folded into the next, or one of the other kind.
  std::span<const std::uint8_t> codes(std::string_view node) const;
  std::span<const float> values(std::string_view node) const;

 private:
  const Tensor& kept(std::string_view node) const;

  Program program_;
  Keep keep_;
  std::vector<std::byte> arena_;
  std::vector<Tensor> tensors_;  // one a node; without memory if it is folded into the next
  std::vector<Step> steps_;
};

}  // namespace coppice::runtime
