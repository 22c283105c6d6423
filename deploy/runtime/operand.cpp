#include "deploy/runtime/operand.h"

#include <algorithm>  // for copy_n

#include "kernels/clones.h"

namespace coppice::runtime {
namespace {

COPPICE_CLONES
void subtract(const std::uint8_t* codes, int zero_point, std::int64_t count, std::int16_t* out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<std::int16_t>(int{codes[i]} - zero_point);
}

}  // namespace

void bring(const Tensor& in, std::int64_t at, std::int64_t count, std::int16_t* out) {
  subtract(in.codes + at, in.grid.zero_point, count, out);
}

void bring(const Tensor& in, std::int64_t at, std::int64_t count, std::uint8_t* out) {
  std::copy_n(in.codes + at, count, out);
}

void bring(const Tensor& in, std::int64_t at, std::int64_t count, float* out) {
  load(in, at, count, out);
}

}  // namespace coppice::runtime
