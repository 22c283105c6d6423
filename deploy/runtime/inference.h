#pragma once
// What follows from a program: shapes, grids, parameter counts. Also the one check of whether a
// program is safe to run; the reader, the writer and the interpreter all go through it, so that no
// arithmetic on sizes behind it can overflow.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "deploy/runtime/program.h"

namespace coppice::runtime {

// Limits of a program. Activations: of all nodes together, so that no arena is larger either.
constexpr std::size_t kMaxNodes = 10'000;
constexpr std::int64_t kMaxAxis = std::int64_t{1} << 24;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 26;            // a tensor
constexpr std::int64_t kMaxActivationElements = std::int64_t{1} << 28;  // of a program
constexpr std::int64_t kMaxWindow = 65535;                              // kernel, stride, padding

// Parameters of one node: conv2d and linear have `channels` rows of `row` weights, norms have
// `norm` values.
struct ParameterCounts {
  std::int64_t channels = 0;
  std::int64_t row = 0;
  std::int64_t norm = 0;
};

// Grows node by node, as a reader meets them.
class Inference {
 public:
  explicit Inference(const InputSpec& input);

  // Takes `node` as the next one; its parameters may still be missing. Throws ModelError naming the
  // node for an op that does not run, inputs that are not earlier nodes, shapes that do not fit,
  // sizes, grids or attributes out of range.
  void add(const Node& node);

  // Throws ModelError unless the parameters of `node`, the last one added, are those it needs and
  // in range: counts, codes, finite values, accumulators and biases that cannot overflow 32 bits.
  void check_parameters(const Node& node) const;

  const std::vector<Shape>& shapes() const { return shapes_; }
  // Of every node's output, its own or the one that passes through it; none: fp32.
  const std::vector<std::optional<Grid>>& grids() const { return grids_; }

  // With images' channels innermost: the image in whose order the elements of a node's output lie.
  // Empty: in the order of the shape.
  const Shape& order(std::size_t node) const { return orders_[node]; }
  // Whether every operation so far can work in these orders: a slice of a flattened image cannot.
  bool follows_orders() const;

  ParameterCounts counts(const Node& node) const;
  // Whether `node` is a conv2d or linear on codes with weights in codes: int32 accumulators.
  bool is_integer(const Node& node) const;

 private:
  const Shape& input_shape(const Node& node, std::size_t input) const;
  Shape next_order(const Node& node, const Shape& shape);

  InputSpec input_;
  std::vector<Shape> shapes_;
  std::vector<std::optional<Grid>> grids_;
  std::vector<Shape> orders_;
  bool follows_ = true;
  std::int64_t activation_elements_ = 0;
};

// Of a whole program: add() and check_parameters() of every node, and that there is at least one
// after the input.
Inference infer(const Program& program);

// Elements that all windows and rows read for one sample, about one instruction each: for callers
// that bound the time of programs they do not trust.
std::int64_t work_of(const Program& program);

}  // namespace coppice::runtime
