#include "deploy/runtime/tensor.h"

#include <algorithm>  // for copy_n

#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

COPPICE_CLONES
void to_values(const std::uint8_t* codes, Grid grid, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<float>(int{codes[i]} - int{grid.zero_point}) * grid.scale;
}

COPPICE_CLONES
void to_codes(const float* values, Grid grid, std::int64_t count, std::uint8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = code_of(values[i], grid);
}

}  // namespace

void load(const Tensor& from, std::int64_t begin, std::int64_t count, float* out) {
  if (from.is_codes()) {
    to_values(from.codes + begin, from.grid, count, out);
  } else {
    std::copy_n(from.values + begin, count, out);
  }
}

void store(const Tensor& to, std::int64_t begin, std::int64_t count, const float* values) {
  if (to.is_codes()) {
    to_codes(values, to.grid, count, to.codes + begin);
  } else {
    std::copy_n(values, count, to.values + begin);
  }
}

}  // namespace coppice::runtime
