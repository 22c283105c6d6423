#include "deploy/runtime/coded_weights.h"

#include <utility>  // for move

#include "deploy/runtime/body.h"
#include "deploy/runtime/error.h"
#include "kernels/code_stream.h"

namespace coppice::runtime {
namespace {

using Codes = std::vector<std::int8_t>;

// Inputs of a row lie as the shape says, [channel][tap]: weights that are pruned one by one have
// their zeros where other taps of the window have theirs. Those of blocks stand beside other
// channels: [tap][channel]. Calls visit(place in the stream, index in rows).
template <typename Visit>
void visit_stream(const ProductShape& shape, Layout layout, const Visit& visit) {
  const bool by_tap = layout == Layout::kBlocks;
  std::size_t at = 0;
  for (std::int64_t channel = 0; channel < shape.out; ++channel) {
    const std::int64_t first = channel * shape.row();
    for (std::int64_t i = 0; i < shape.row(); ++i, ++at) {
      const std::int64_t to = by_tap ? i % shape.depth * shape.taps + i / shape.depth : i;
      visit(at, static_cast<std::size_t>(first + to));
    }
  }
}

void append(std::vector<std::uint8_t>& to, const void* from, std::size_t bytes) {
  const auto* begin = static_cast<const std::uint8_t*>(from);
  to.insert(to.end(), begin, begin + bytes);
}

int largest_allowed(const Weights& weights) { return weights.bits == 4 ? 7 : 127; }

}  // namespace

std::int64_t deflated_bytes(const Weights& weights) {
  std::vector<std::uint8_t> plain;
  append(plain, weights.block_counts.data(), 2 * weights.block_counts.size());
  append(plain, weights.blocks.data(), 2 * weights.blocks.size());
  const bool has_halves = weights.bits == 4 && weights.layout == Layout::kRows;
  const Codes codes = has_halves ? halves_of(weights.codes) : weights.codes;
  append(plain, codes.data(), codes.size());
  return static_cast<std::int64_t>(encode_body(std::move(plain)).bytes.size());
}

std::vector<std::uint8_t> coded_weights(const Weights& weights, const ProductShape& shape) {
  const Weights rows = in_rows(weights, shape);
  // Blocks that are listed and hold nothing would not come back.
  if (weights.layout == Layout::kBlocks && !(laid_out(rows, shape, weights.layout) == weights))
    return {};
  Codes codes(rows.codes.size());
  visit_stream(shape, weights.layout,
               [&](std::size_t at, std::size_t index) { codes[at] = rows.codes[index]; });
  const auto bytes = static_cast<std::int64_t>(kernels::coded_bytes(codes, shape.row()));
  const auto count = static_cast<std::int64_t>(codes.size());
  constexpr auto kMost = static_cast<std::int64_t>(kMostExpansion);
  if (count > kMost * bytes || 100 * bytes > 95 * deflated_bytes(weights)) return {};
  std::vector<std::uint8_t> stream;
  stream.reserve(static_cast<std::size_t>(bytes));
  kernels::encode_codes(codes, shape.row(), stream);
  return stream;
}

void decode_weights(std::span<const std::uint8_t> stream, const ProductShape& shape,
                    Weights& weights) {
  const auto count = static_cast<std::size_t>(shape.out * shape.row());
  if (count > kMostExpansion * stream.size()) {
    fail(count, " coded weights in ", stream.size(), " bytes, of which each stands for at most ",
         kMostExpansion);
  }
  if (!may_lie(shape, weights.layout))
    fail("weights cannot lie in order ", static_cast<int>(weights.layout));
  Codes codes(count);
  if (!kernels::decode_codes(stream, shape.row(), largest_allowed(weights), codes))
    fail(stream.size(), " bytes are not the coded form of ", count, " codes of ", weights.bits,
         " bits");
  Weights rows;
  rows.bits = weights.bits;
  if (weights.layout == Layout::kBlocks) {
    rows.codes.resize(count);
    visit_stream(shape, weights.layout,
                 [&](std::size_t at, std::size_t index) { rows.codes[index] = codes[at]; });
  } else {
    rows.codes = std::move(codes);
  }
  Weights laid = laid_out(rows, shape, weights.layout);
  weights.codes = std::move(laid.codes);
  weights.block_counts = std::move(laid.block_counts);
  weights.blocks = std::move(laid.blocks);
}

}  // namespace coppice::runtime
