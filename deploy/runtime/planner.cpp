#include "deploy/runtime/planner.h"

#include <algorithm>  // for stable_sort
#include <numeric>    // for iota

namespace coppice::runtime {
namespace {

struct Placed {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::size_t tensor = 0;
};

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

bool live_together(const LiveTensor& a, const LiveTensor& b) {
  return a.first_step <= b.last_step && b.first_step <= a.last_step;
}

// The lowest gap of `bytes` between those of `placed` (sorted by begin) that live with `tensor`.
std::int64_t lowest_offset(std::span<const LiveTensor> tensors, const std::vector<Placed>& placed,
                           const LiveTensor& tensor) {
  std::int64_t offset = 0;
  for (const Placed& other : placed) {
    if (!live_together(tensor, tensors[other.tensor])) continue;
    if (other.begin >= offset + tensor.bytes) break;
    offset = std::max(offset, aligned(other.end));
  }
  return offset;
}

}  // namespace

ArenaPlan plan_arena(std::span<const LiveTensor> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::size_t i) { return tensors[i].bytes; });
  ArenaPlan plan{std::vector<std::int64_t>(tensors.size()), 0};
  std::vector<Placed> placed;
  for (const std::size_t i : order) {
    const std::int64_t offset = lowest_offset(tensors, placed, tensors[i]);
    const Placed here{offset, offset + tensors[i].bytes, i};
    placed.insert(std::ranges::upper_bound(placed, here.begin, {}, &Placed::begin), here);
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, here.end);
  }
  return plan;
}

}  // namespace coppice::runtime
