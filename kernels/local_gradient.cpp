#include "kernels/local_gradient.h"

#include <algorithm>  // for copy_n, min

namespace coppice::kernels {

void zero_masked(const std::uint64_t* mask, std::int64_t begin, std::int64_t end, float* values) {
  for (std::int64_t i = begin; i < end; ++i) {
    const bool is_kept = ((mask[i / 64] >> (static_cast<std::uint64_t>(i) % 64)) & 1U) != 0;
    // A select and not a product: a masked NaN must become zero.
    values[i - begin] = is_kept ? values[i - begin] : 0.0F;
  }
}

void local_gradient(const LocalGradient& terms, std::int64_t begin, std::int64_t end, float* out) {
  const std::int64_t n = end - begin;
  std::copy_n(terms.gradient + (begin - terms.gradient_begin), n, out);
  if (terms.global != nullptr) {
    const float* weights = terms.weights + begin;
    const float* global = terms.global + begin;
    for (std::int64_t i = 0; i < n; ++i) out[i] += terms.prox_mu * (weights[i] - global[i]);
  }
  if (terms.correction != nullptr) {
    const float* correction = terms.correction + begin;
    for (std::int64_t i = 0; i < n; ++i) out[i] += correction[i];
  }
  if (terms.mask != nullptr) zero_masked(terms.mask, begin, end, out);
}

double local_gradient_square_norm(const LocalGradient& terms, std::int64_t begin,
                                  std::int64_t end) {
  constexpr std::int64_t kLanes =
      8;  // element i always goes to lane (i - begin) % 8: kPiece is a multiple
  double lanes[kLanes] = {};
  float piece[kPiece];
  for (std::int64_t first = begin; first < end; first += kPiece) {
    const std::int64_t n = std::min(kPiece, end - first);
    local_gradient(terms, first, first + n, piece);
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const double value = static_cast<double>(piece[i + lane]);
        lanes[lane] += value * value;
      }
    }
    for (; i < n; ++i)
      lanes[i % kLanes] += static_cast<double>(piece[i]) * static_cast<double>(piece[i]);
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace coppice::kernels
