#include "deploy/runtime/dot.h"

#include "kernels/clones.h"

namespace coppice::runtime {

COPPICE_CLONES
void dot_rows(const std::int16_t* patch, const std::int8_t* weights, std::int64_t rows,
              std::int64_t row, std::int32_t* sums) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int8_t* w = weights + r * row;
    std::int32_t sum = 0;
    for (std::int64_t i = 0; i < row; ++i) {
      sum += std::int32_t{patch[i]} * std::int32_t{static_cast<std::int16_t>(w[i])};
    }
    sums[r] = sum;
  }
}

COPPICE_CLONES
void dot_rows(const float* patch, const float* weights, std::int64_t rows, std::int64_t row,
              float* sums) {
  constexpr std::int64_t kLanes = 16;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* w = weights + r * row;
    float lanes[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= row; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] += patch[i + lane] * w[i + lane];
    }
    for (; i < row; ++i) lanes[i % kLanes] += patch[i] * w[i];
    for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    }
    sums[r] = lanes[0];
  }
}

}  // namespace coppice::runtime
