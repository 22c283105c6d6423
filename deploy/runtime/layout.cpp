#include "deploy/runtime/layout.h"

#include <algorithm>  // for max, min
#include <cstdlib>    // for abs
#include <limits>     // for numeric_limits
#include <numeric>    // for accumulate
#include <utility>    // for move

#include "deploy/runtime/error.h"

namespace coppice::runtime {
namespace {

constexpr std::int64_t kNothing = -1;  // an element beside a run's or a block's end
constexpr std::int64_t kBlockElements = kBlockSide * kBlockSide;

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// Where in rows the weight of an output channel and an input (a tap's channel, in order) lies.
std::int64_t row_index(const ProductShape& shape, std::int64_t channel, std::int64_t input) {
  return channel * shape.row() + input % shape.depth * shape.taps + input / shape.depth;
}

template <typename Visit>
void visit_panels(const ProductShape& shape, const Visit& visit) {
  const std::int64_t length = shape.run_length();
  for (std::int64_t first = 0; first < shape.out; first += kPanelChannels) {
    const std::int64_t end = std::min(first + kPanelChannels, shape.out);
    for (std::int64_t run = 0; run < shape.runs; ++run) {
      for (std::int64_t begin = 0; begin < length; begin += shape.together) {
        for (std::int64_t channel = first; channel < end; ++channel) {
          for (std::int64_t at = begin; at < begin + shape.together; ++at)
            visit(channel, at < length ? row_index(shape, channel, run * length + at) : kNothing);
        }
      }
    }
  }
}

template <typename Visit>
void visit_depthwise(const ProductShape& shape, const Visit& visit) {
  for (std::int64_t begin = 0; begin < shape.taps; begin += shape.together) {
    for (std::int64_t channel = 0; channel < shape.out; ++channel) {
      for (std::int64_t tap = begin; tap < begin + shape.together; ++tap)
        visit(channel, tap < shape.taps ? row_index(shape, channel, tap) : kNothing);
    }
  }
}

// The 16 elements of a block of the four channels from `first` on.
template <typename Visit>
void visit_block(const ProductShape& shape, std::int64_t first, std::int64_t block,
                 const Visit& visit) {
  const std::int64_t tap = block / shape.blocks_of_tap();
  const std::int64_t begin = block % shape.blocks_of_tap() * kBlockSide;
  for (std::int64_t channel = first; channel < first + kBlockSide; ++channel) {
    for (std::int64_t input = begin; input < begin + kBlockSide; ++input) {
      const bool exists = channel < shape.out && input < shape.depth;
      visit(std::min(channel, shape.out - 1),
            exists ? row_index(shape, channel, tap * shape.depth + input) : kNothing);
    }
  }
}

// Calls visit(output channel, index in rows or kNothing) for the elements in their order.
template <typename Visit>
void visit_elements(const Weights& weights, const ProductShape& shape, const Visit& visit) {
  switch (weights.layout) {
    case Layout::kRows:
      for (std::int64_t i = 0; i < shape.out * shape.row(); ++i) visit(i / shape.row(), i);
      return;
    case Layout::kPanels:
      return visit_panels(shape, visit);
    case Layout::kDepthwise:
      return visit_depthwise(shape, visit);
    case Layout::kBlocks: {
      std::size_t at = 0;
      for (std::size_t four = 0; four < weights.block_counts.size(); ++four) {
        for (int i = 0; i < weights.block_counts[four]; ++i, ++at)
          visit_block(shape, static_cast<std::int64_t>(four) * kBlockSide, weights.blocks[at],
                      visit);
      }
    }
  }
}

bool has_halves(const Weights& weights) {
  return weights.bits == 4 && weights.layout != Layout::kRows;
}

int code_at(const Weights& weights, std::size_t at) {
  if (!has_halves(weights)) return weights.codes[at];
  const int half = static_cast<std::uint8_t>(weights.codes[at / 2]) >> (at % 2 * 4) & 0xF;
  return half < 8 ? half : half - 16;
}

void check_blocks(const Weights& weights, const ProductShape& shape) {
  const bool is_sparse = weights.layout == Layout::kBlocks;
  const std::int64_t fours = is_sparse ? (shape.out + kBlockSide - 1) / kBlockSide : 0;
  const auto& counts = weights.block_counts;
  if (static_cast<std::int64_t>(counts.size()) != fours ||
      std::accumulate(counts.begin(), counts.end(), std::size_t{0}) != weights.blocks.size())
    fail("expected ", fours, " counts of blocks that add up to ", weights.blocks.size());
  std::size_t at = 0;
  for (const int count : counts) {
    for (int i = 0; i < count; ++i, ++at) {
      if (weights.blocks[at] >= block_count(shape) ||
          (i > 0 && weights.blocks[at] <= weights.blocks[at - 1]))
        fail("block ", weights.blocks[at], " is out of range or of order");
    }
  }
}

bool is_empty_block(const Weights& rows, const ProductShape& shape, std::int64_t first,
                    std::int64_t block) {
  bool is_empty = true;
  visit_block(shape, first, block, [&](std::int64_t, std::int64_t index) {
    if (index != kNothing && rows.codes[static_cast<std::size_t>(index)] != 0) is_empty = false;
  });
  return is_empty;
}

void find_blocks(const Weights& rows, const ProductShape& shape, Weights& out) {
  for (std::int64_t first = 0; first < shape.out; first += kBlockSide) {
    const std::size_t before = out.blocks.size();
    for (std::int64_t block = 0; block < block_count(shape); ++block) {
      if (!is_empty_block(rows, shape, first, block))
        out.blocks.push_back(static_cast<std::uint16_t>(block));
    }
    out.block_counts.push_back(static_cast<std::uint16_t>(out.blocks.size() - before));
  }
}

}  // namespace

std::vector<std::int8_t> halves_of(const std::vector<std::int8_t>& codes) {
  std::vector<std::int8_t> out((codes.size() + 1) / 2);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const unsigned half = (static_cast<unsigned>(codes[i]) & 0xFU) << (i % 2 * 4);
    out[i / 2] = static_cast<std::int8_t>(static_cast<std::uint8_t>(out[i / 2]) | half);
  }
  return out;
}

ProductShape product_shape(const Node& node, const Inference& inference) {
  const auto input = static_cast<std::size_t>(node.inputs[0]);
  ProductShape shape;
  shape.out = node.out;
  shape.together = inference.is_integer(node) ? 2 : 1;
  if (node.op == Op::conv2d) {
    shape.runs = node.kernel[0];
    shape.taps = node.kernel[0] * node.kernel[1];
    shape.depth = inference.shapes()[input][0] / node.groups;
    shape.groups = node.groups;
  } else if (const Shape& order = inference.order(input); !order.empty()) {
    shape.taps = order[1] * order[2];
    shape.depth = order[0];
  } else {
    shape.depth = inference.shapes()[input].back();
  }
  return shape;
}

std::int64_t element_count(const Weights& weights, const ProductShape& shape) {
  switch (weights.layout) {
    case Layout::kRows:
      return shape.out * shape.row();
    case Layout::kPanels:
      return shape.out * shape.runs * round_up(shape.run_length(), shape.together);
    case Layout::kDepthwise:
      return shape.out * round_up(shape.taps, shape.together);
    case Layout::kBlocks:
      return static_cast<std::int64_t>(weights.blocks.size()) * kBlockElements;
  }
  return 0;
}

std::int64_t stored_bytes(const Weights& weights, const ProductShape& shape) {
  const std::int64_t elements = element_count(weights, shape);
  return has_halves(weights) ? (elements + 1) / 2 : elements;
}

bool may_lie(const ProductShape& shape, Layout layout) {
  switch (layout) {
    case Layout::kRows:
      return true;
    case Layout::kPanels:
      return shape.groups == 1;
    case Layout::kDepthwise:
      return shape.is_depthwise();
    case Layout::kBlocks:
      return may_be_blocks(shape);
  }
  return false;
}

void check_layout(const Weights& weights, const ProductShape& shape) {
  if (!may_lie(shape, weights.layout))
    fail("weights cannot lie in order ", static_cast<int>(weights.layout));
  check_blocks(weights, shape);
  const std::int64_t elements = element_count(weights, shape);
  const bool has_codes = weights.bits != 32;
  const std::int64_t bytes = stored_bytes(weights, shape);
  const std::size_t stored = has_codes ? weights.codes.size() : weights.values.size();
  if (static_cast<std::int64_t>(stored) != bytes)
    fail("expected ", shape.out, " x ", shape.row(), " weights, ", bytes, " stored, got ", stored);
  std::size_t at = 0;
  const auto check = [&](std::int64_t, std::int64_t index) {
    if (index == kNothing && (has_codes ? code_at(weights, at) != 0 : weights.values[at] != 0.0F))
      fail("a weight that multiplies nothing is not zero");
    ++at;
  };
  if (weights.layout != Layout::kRows) visit_elements(weights, shape, check);
  if (has_halves(weights) && elements % 2 != 0 && code_at(weights, at) != 0)
    fail("bits after the last code");
}

Weights in_rows(const Weights& weights, const ProductShape& shape) {
  if (weights.layout == Layout::kRows) return weights;
  Weights rows;
  rows.bits = weights.bits;
  rows.scales = weights.scales;
  const auto count = static_cast<std::size_t>(shape.out * shape.row());
  weights.bits == 32 ? rows.values.resize(count) : rows.codes.resize(count);
  std::size_t at = 0;
  visit_elements(weights, shape, [&](std::int64_t, std::int64_t index) {
    if (index != kNothing) {
      const auto to = static_cast<std::size_t>(index);
      if (weights.bits == 32) {
        rows.values[to] = weights.values[at];
      } else {
        rows.codes[to] = static_cast<std::int8_t>(code_at(weights, at));
      }
    }
    ++at;
  });
  return rows;
}

int largest_code(const Weights& weights) {
  int largest = 0;
  const std::size_t count = weights.codes.size() * (has_halves(weights) ? 2 : 1);
  for (std::size_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(code_at(weights, i)));
  return largest;
}

std::vector<std::int64_t> code_sums(const Weights& weights, const ProductShape& shape) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(shape.out));
  std::size_t at = 0;
  visit_elements(weights, shape, [&](std::int64_t channel, std::int64_t) {
    sums[static_cast<std::size_t>(channel)] += std::abs(code_at(weights, at++));
  });
  return sums;
}

std::vector<float> values_of(const Weights& weights, const ProductShape& shape) {
  if (weights.bits == 32) return weights.values;
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(element_count(weights, shape)));
  visit_elements(weights, shape, [&](std::int64_t channel, std::int64_t) {
    values.push_back(static_cast<float>(code_at(weights, values.size())) *
                     weights.scales[static_cast<std::size_t>(channel)]);
  });
  return values;
}

Weights laid_out(const Weights& rows, const ProductShape& shape, Layout layout) {
  if (layout == Layout::kRows) return rows;
  Weights out;
  out.bits = rows.bits;
  out.layout = layout;
  out.scales = rows.scales;
  if (layout == Layout::kBlocks) find_blocks(rows, shape, out);
  const auto count = static_cast<std::size_t>(element_count(out, shape));
  rows.bits == 32 ? out.values.reserve(count) : out.codes.reserve(count);
  visit_elements(out, shape, [&](std::int64_t, std::int64_t index) {
    const auto from = static_cast<std::size_t>(index);
    if (rows.bits == 32) {
      out.values.push_back(index == kNothing ? 0.0F : rows.values[from]);
    } else {
      out.codes.push_back(index == kNothing ? std::int8_t{0} : rows.codes[from]);
    }
  });
  if (rows.bits == 4) out.codes = halves_of(out.codes);
  return out;
}

std::int64_t block_count(const ProductShape& shape) { return shape.taps * shape.blocks_of_tap(); }

std::int64_t block_of(const ProductShape& shape, std::int64_t index) {
  const std::int64_t at = index % shape.row();
  return at % shape.taps * shape.blocks_of_tap() + at / shape.taps / kBlockSide;
}

Layout dense_layout(const ProductShape& shape) {
  if (shape.is_depthwise()) return Layout::kDepthwise;
  return shape.groups == 1 ? Layout::kPanels : Layout::kRows;
}

bool may_be_blocks(const ProductShape& shape) {
  return shape.groups == 1 && shape.is_integer() &&
         block_count(shape) <= std::numeric_limits<std::uint16_t>::max();
}

double block_density(const Weights& weights, const ProductShape& shape) {
  if (!may_be_blocks(shape)) return 1.0;
  Weights found;
  find_blocks(in_rows(weights, shape), shape, found);
  const std::int64_t all =
      static_cast<std::int64_t>(found.block_counts.size()) * block_count(shape);
  return static_cast<double>(found.blocks.size()) / static_cast<double>(all);
}

Program in_rows(Program program, const Inference& inference) {
  return laid_out(std::move(program), inference,
                  [](const Node&, const ProductShape&) { return Layout::kRows; });
}

Program in_rows(Program program) {
  const Inference inference = infer(program);
  return in_rows(std::move(program), inference);
}

}  // namespace coppice::runtime
