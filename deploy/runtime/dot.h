#pragma once
// Inner products of one patch with rows of weights: most of a model's work. Results do not depend
// on the instruction set: integers have no rounding, and the fp32 sum has a fixed order. Internal.

#include <cstdint>  // for int64_t

namespace coppice::runtime {

// sums[r] = sum over i of patch[i] * weights[r * row + i]; the caller knows that it fits.
void dot_rows(const std::int16_t* patch, const std::int8_t* weights, std::int64_t rows,
              std::int64_t row, std::int32_t* sums);

// Sixteen partial sums, element i in sum i % 16, added pairwise at the end.
void dot_rows(const float* patch, const float* weights, std::int64_t rows, std::int64_t row,
              float* sums);

}  // namespace coppice::runtime
