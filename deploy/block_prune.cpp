#include "deploy/block_prune.h"

#include <algorithm>  // for stable_sort
#include <cmath>      // for abs, floor
#include <numeric>    // for iota
#include <span>       // for span
#include <vector>     // for vector

#include "core/error.h"
#include "core/text.h"
#include "deploy/lower.h"
#include "deploy/runtime/layout.h"

namespace coppice {
namespace {

using runtime::kBlockSide;

// Among all blocks of the layer.
std::size_t number_of(const runtime::ProductShape& shape, std::int64_t index) {
  const std::int64_t four = index / shape.row() / kBlockSide;
  return static_cast<std::size_t>(four * block_count(shape) + block_of(shape, index));
}

void keep_largest(const runtime::ProductShape& shape, double density, std::span<float> weights) {
  const auto block = [&](std::size_t i) { return number_of(shape, static_cast<std::int64_t>(i)); };
  std::vector<double> magnitudes(block(weights.size() - 1) + 1);
  for (std::size_t i = 0; i < weights.size(); ++i)
    magnitudes[block(i)] += std::abs(double{weights[i]});
  std::vector<std::size_t> order(magnitudes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return magnitudes[a] > magnitudes[b]; });
  std::vector<bool> is_kept(magnitudes.size());
  const auto count =
      static_cast<std::size_t>(std::floor(density * static_cast<double>(magnitudes.size())));
  for (std::size_t i = 0; i < count; ++i) is_kept[order[i]] = true;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!is_kept[block(i)]) weights[i] = 0.0F;
  }
}

}  // namespace

void keep_largest_blocks(Checkpoint& checkpoint, double density) {
  if (!(density > 0.0 && density <= 1.0))
    throw ConfigError(text("blocks: expected a share above 0 and up to 1, got ", density));
  const runtime::Program program = lower(checkpoint);
  const runtime::Inference inference = infer(program);
  const std::vector<Node>& nodes = checkpoint.graph.nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (inference.counts(program.nodes[i]).row == 0) continue;
    const runtime::ProductShape shape = product_shape(program.nodes[i], inference);
    if (!may_be_blocks(shape) || shape.depth < kBlockSide) continue;
    const ParameterSpec& weight =
        checkpoint.graph.parameters()[static_cast<std::size_t>(nodes[i].parameters[0])];
    keep_largest(shape, density,
                 std::span(checkpoint.parameters)
                     .subspan(static_cast<std::size_t>(weight.offset),
                              static_cast<std::size_t>(weight.size())));
  }
}

}  // namespace coppice
