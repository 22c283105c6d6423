#pragma once
// The orders in which the weights of a conv2d or linear lie. Rows are how they are written down:
// [out][input channel][tap]; the others are how the engine reads them, fixed for every instruction
// set, so that a file holds what is multiplied and loading only copies. Pure functions.
//
// An input is (tap, channel), channels innermost, as the engine's images lie: taps are the places
// of a convolution's window, or the pixels of the image that a linear's input was; a run is a
// stretch of taps that lie side by side, the row of a window. Inputs are taken one (fp32) or two
// (integers) `together`; an odd run's last has a zero beside it.
//   kPanels     16 output channels after 16 (the last panel is as wide as what is left):
//               [panel][run][inputs of the run / together][channel of the panel][together]
//   kBlocks     integers: four output channels after four, of four input channels at one tap only
//               those blocks that hold a weight, in the order of their number
//               tap * blocks of a tap + block: [block][output channel][input channel]
//   kDepthwise  one input channel an output channel: [taps / together][channel][together]

#include <cstdint>  // for int64_t
#include <utility>  // for move
#include <vector>   // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/program.h"
#include "kernels/integer/integer.h"  // for kPanelChannels

namespace coppice::runtime {

using kernels::kPanelChannels;
constexpr std::int64_t kBlockSide = 4;

struct ProductShape {
  std::int64_t out = 0;
  std::int64_t runs = 1;
  std::int64_t taps = 1;   // of all runs
  std::int64_t depth = 0;  // input channels, of one group
  std::int64_t groups = 1;
  std::int64_t together = 1;

  std::int64_t row() const { return taps * depth; }
  std::int64_t run_length() const { return row() / runs; }
  std::int64_t blocks_of_tap() const { return (depth + kBlockSide - 1) / kBlockSide; }
  bool is_depthwise() const { return groups > 1 && depth == 1 && groups == out; }
  bool is_integer() const { return together == 2; }
};

// Of a conv2d or linear that `inference` has added.
ProductShape product_shape(const Node& node, const Inference& inference);

// Weights as they are stored: elements in the order of their layout, and bytes of codes.
std::int64_t element_count(const Weights& weights, const ProductShape& shape);
std::int64_t stored_bytes(const Weights& weights, const ProductShape& shape);

// Whether weights of `shape` can have the layout.
bool may_lie(const ProductShape& shape, Layout layout);

// Throws ModelError unless `weights` have a layout that `shape` can have, as many elements as that
// takes, zeros beside odd ends, and blocks that exist in their order.
void check_layout(const Weights& weights, const ProductShape& shape);

// The same weights in rows. check_layout() has passed.
Weights in_rows(const Weights& weights, const ProductShape& shape);

// Two codes of 4 bits a byte, the first in its low half; an odd last one has zero above it.
std::vector<std::int8_t> halves_of(const std::vector<std::int8_t>& codes);

// Of all codes: the largest |code|; 0 without any.
int largest_code(const Weights& weights);

// Of every output channel: the sum of |code|.
std::vector<std::int64_t> code_sums(const Weights& weights, const ProductShape& shape);

// Weights in rows in another order.
Weights laid_out(const Weights& rows, const ProductShape& shape, Layout layout);

// What the engine reads of a product that is not sparse; rows of grouped convolutions that are not
// depthwise.
Layout dense_layout(const ProductShape& shape);

// Whether weights of `shape` can lie in blocks: those of integers, without groups, of which a row
// has no more blocks than their numbers can name.
bool may_be_blocks(const ProductShape& shape);

// How many blocks each four output channels have, and the number of that which holds the weight at
// `index` of rows.
std::int64_t block_count(const ProductShape& shape);
std::int64_t block_of(const ProductShape& shape, std::int64_t index);

// Of integers: the share of 4x4 blocks that hold a weight. 1 for others.
double block_density(const Weights& weights, const ProductShape& shape);

// Of products that the engine runs in fp32: the values that their codes stand for, in the order of
// their layout.
std::vector<float> values_of(const Weights& weights, const ProductShape& shape);

// `program` with every product in the layout_of(node, shape), those that have it untouched.
// `inference` is the program's: it does not depend on how weights lie.
template <typename LayoutOf>
Program laid_out(Program program, const Inference& inference, const LayoutOf& layout_of) {
  for (Node& node : program.nodes) {
    if (inference.counts(node).row == 0) continue;
    const ProductShape shape = product_shape(node, inference);
    const Layout layout = layout_of(node, shape);
    if (layout == node.weights.layout) continue;
    node.weights = laid_out(in_rows(node.weights, shape), shape, layout);
  }
  return program;
}

template <typename LayoutOf>
Program laid_out(Program program, const LayoutOf& layout_of) {
  const Inference inference = infer(program);
  return laid_out(std::move(program), inference, layout_of);
}

// The same with every product in rows.
Program in_rows(Program program, const Inference& inference);
Program in_rows(Program program);

}  // namespace coppice::runtime
