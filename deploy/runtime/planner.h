#pragma once
// Where tensors lie in one arena of bytes, so that those alive at the same time never overlap. Pure
// function.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice::runtime {

constexpr std::int64_t kTensorAlignment = 16;  // bytes

// A tensor is alive from the step that writes it to the last that reads it, both included.
struct LiveTensor {
  std::int64_t bytes = 0;
  int first_step = 0;
  int last_step = 0;
};

struct ArenaPlan {
  std::vector<std::int64_t> offsets;  // one a tensor, multiples of kTensorAlignment
  std::int64_t bytes = 0;             // of the arena
};

// Large tensors first, each at the lowest offset that is free during its life (Pisarchyk & Lee
// 2020, "greedy by size"). Quadratic in the number of tensors.
ArenaPlan plan_arena(std::span<const LiveTensor> tensors);

}  // namespace coppice::runtime
