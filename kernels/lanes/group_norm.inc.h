#pragma once
// Group normalization, sample by sample, that is lane by lane. Sums are taken in pieces: a lane of
// several thousand values added one after another would lose digits.

#include "kernels/lanes/elementwise.inc.h"
#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

constexpr std::int64_t kPiece = 64;

// The sum of term(i) over [0, n).
template <typename Term>
COPPICE_INLINE V sum_in_pieces(std::int64_t n, const Term& term) {
  V sum{};
  for (std::int64_t first = 0; first < n; first += kPiece) {
    const std::int64_t end = smaller(n, first + kPiece);
    V even{};
    V odd{};
    std::int64_t i = first;
    for (; i + 2 <= end; i += 2) {
      even += term(i);
      odd += term(i + 1);
    }
    if (i < end) even += term(i);
    sum += even + odd;
  }
  return sum;
}

COPPICE_INLINE V inverse_square_root(V x) {
  V out;
  COPPICE_UNROLL
  for (int l = 0; l < kLanes; ++l) out[l] = 1.0F / __builtin_sqrtf(x[l]);
  return out;
}

void group_norm(const LaneGroupNorm& norm, const float* in, const float* weight, const float* bias,
                bool has_relu, float* statistics, float* out) {
  const std::int64_t n = norm.group_size * norm.area;
  const float share = 1.0F / static_cast<float>(n);
  for (std::int64_t group = 0; group < norm.groups; ++group) {
    const float* x = in + group * n * kLanes;
    float* y = out + group * n * kLanes;
    const V mean = sum_in_pieces(n, [&](std::int64_t i) { return load(x + i * kLanes); }) * share;
    const V variance = sum_in_pieces(n,
                                     [&](std::int64_t i) {
                                       const V d = load(x + i * kLanes) - mean;
                                       return d * d;
                                     }) *
                       share;
    const V inverse = inverse_square_root(variance + norm.epsilon);
    store(statistics + 2 * group * kLanes, mean);
    store(statistics + (2 * group + 1) * kLanes, inverse);
    for (std::int64_t c = 0; c < norm.group_size; ++c) {
      const float w = weight[group * norm.group_size + c];
      const float b = bias[group * norm.group_size + c];
      const V scale = inverse * w;
      for (std::int64_t i = c * norm.area; i < (c + 1) * norm.area; ++i) {
        const V v = (load(x + i * kLanes) - mean) * scale + b;
        store(y + i * kLanes, has_relu ? relu(v) : v);
      }
    }
  }
}

// dx = (w g - (sum of w g + x^ sum of w g x^) / n) / deviation with x^ the normalized value.
void group_norm_gradient(const LaneGroupNorm& norm, const float* in, const float* weight,
                         const float* statistics, const float* out_gradient, bool accumulates,
                         float* in_gradient, float* weight_gradient, float* bias_gradient) {
  const std::int64_t n = norm.group_size * norm.area;
  const float share = 1.0F / static_cast<float>(n);
  for (std::int64_t group = 0; group < norm.groups; ++group) {
    const float* x = in + group * n * kLanes;
    const float* g = out_gradient + group * n * kLanes;
    float* dx = in_gradient + group * n * kLanes;
    const V mean = load(statistics + 2 * group * kLanes);
    const V inverse = load(statistics + (2 * group + 1) * kLanes);
    V sum{};
    V sum_along{};
    for (std::int64_t c = 0; c < norm.group_size; ++c) {
      const std::int64_t channel = group * norm.group_size + c;
      const float* xc = x + c * norm.area * kLanes;
      const float* gc = g + c * norm.area * kLanes;
      const V total =
          sum_in_pieces(norm.area, [&](std::int64_t i) { return load(gc + i * kLanes); });
      const V along = sum_in_pieces(norm.area,
                                    [&](std::int64_t i) {
                                      return load(gc + i * kLanes) * (load(xc + i * kLanes) - mean);
                                    }) *
                      inverse;
      bias_gradient[channel] += sum_of_lanes(total);
      weight_gradient[channel] += sum_of_lanes(along);
      sum += total * weight[channel];
      sum_along += along * weight[channel];
    }
    const V shift = sum * share * inverse;
    const V slope = sum_along * share * inverse * inverse;
    for (std::int64_t c = 0; c < norm.group_size; ++c) {
      const V scale = inverse * weight[group * norm.group_size + c];
      for (std::int64_t i = c * norm.area; i < (c + 1) * norm.area; ++i) {
        const V centred = load(x + i * kLanes) - mean;
        put(dx + i * kLanes, load(g + i * kLanes) * scale - shift - centred * slope, accumulates);
      }
    }
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
