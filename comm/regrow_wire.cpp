#include "comm/regrow_wire.h"

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::int64_t kMostWeights = std::int64_t{1} << 31;
constexpr std::size_t kLeastLayerBytes = std::size_t{4} * 8;

RegrowLayer read_layer(WireReader& in) {
  RegrowLayer layer;
  layer.parameter = in.text();
  layer.weights = in.i64();
  layer.kept = in.i64();
  layer.grown = in.i64();
  const bool is_possible = layer.weights >= 0 && layer.weights <= kMostWeights && layer.kept >= 0 &&
                           layer.grown >= 0 && layer.kept <= layer.weights &&
                           layer.grown <= layer.weights - layer.kept;
  if (!is_possible)
    throw WireError(text("mask ballot: ", layer.parameter, ": ", layer.kept, " and ", layer.grown,
                         " of ", layer.weights, " weights"));
  return layer;
}

}  // namespace

void write_grid(WireWriter& out, GridSpec grid) {
  out.i64(grid.range_bits);
  out.i64(grid.quantum_bits);
}

GridSpec read_grid(WireReader& in) {
  const std::int64_t range = in.i64();
  const std::int64_t quantum = in.i64();
  if (range < 0 || range > 62 || quantum < 0 || quantum > 62) {
    throw WireError(
        text("task: grid of ", range, " + ", quantum, " bits, expected at most 62 each"));
  }
  return {static_cast<int>(range), static_cast<int>(quantum)};
}

void write_regrow(WireWriter& out, const std::optional<RegrowRequest>& regrow) {
  out.u8(regrow ? 1 : 0);
  if (!regrow) return;
  out.u64(regrow->layers.size());
  for (const RegrowLayer& layer : regrow->layers) {
    out.text(layer.parameter);
    out.i64(layer.weights);
    out.i64(layer.kept);
    out.i64(layer.grown);
  }
  out.i64(regrow->batches);
  out.i64(regrow->half_batch);
  write_grid(out, regrow->grid);
}

std::optional<RegrowRequest> read_regrow(WireReader& in) {
  const std::uint8_t is_there = in.u8();
  if (is_there > 1) throw WireError("task: expected 0 or 1 requests for mask ballots");
  if (is_there == 0) return std::nullopt;
  RegrowRequest regrow;
  const std::uint64_t layers = in.u64();
  if (layers > in.left() / kLeastLayerBytes)
    throw WireError(text("mask ballot: ", layers, " layers in ", in.left(), " bytes"));
  std::int64_t weights = 0;
  for (std::uint64_t l = 0; l < layers; ++l) {
    regrow.layers.push_back(read_layer(in));
    weights += regrow.layers.back().weights;
    if (weights > kMostWeights)
      throw WireError(text("mask ballot: more than ", kMostWeights, " weights"));
  }
  regrow.batches = in.i64();
  regrow.half_batch = in.i64();
  regrow.grid = read_grid(in);
  return regrow;
}

}  // namespace coppice
