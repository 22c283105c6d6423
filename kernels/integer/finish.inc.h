#pragma once
// What becomes of sums: bias, scale, rounding, saturation, storing.

#include "kernels/integer/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

// x between -bound and bound, what is no number being -bound; registers of any width.
template <typename Real>
COPPICE_INLINE Real between(Real x, Real bound) {
#if defined(__AVX__)
  if constexpr (sizeof(Real) == 32) return _mm256_min_ps(_mm256_max_ps(x, -bound), bound);
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(Real) == 16) return _mm_min_ps(_mm_max_ps(x, -bound), bound);
#endif
  const Real above = x > -bound ? x : -bound;
  return above < bound ? above : bound;
}

// The nearest integers, ties to even, of what is bounded by +-512.
template <typename Whole, typename Real>
COPPICE_INLINE Whole rounded(Real scaled) {
  const Real bound = 512.0F - Real{};
  const Real shift = 12582912.0F - Real{};
  return __builtin_convertvector((between(scaled, bound) + shift) - shift, Whole);
}

// deploy/runtime/tensor.h's saturated_code() of kRegs registers, lane by lane.
template <int kRegs>
COPPICE_INLINE void put_codes(const Floats* scaled, const Product& task, std::uint8_t* codes) {
  Sums sums[2];
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) sums[r] = rounded<Sums>(scaled[r]) + task.zero_point;
#if defined(__AVX2__) && !defined(__AVX512BW__)
  const __m256i first = as_register(sums[0]);
  const __m256i pairs = _mm256_packs_epi32(first, kRegs == 2 ? as_register(sums[1]) : first);
  const __m256i words = _mm256_permute4x64_epi64(pairs, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  const __m128i low = _mm_set1_epi8(static_cast<char>(task.low_code));
  const __m128i high = _mm_set1_epi8(static_cast<char>(task.high_code));
  const __m128i clamped = _mm_min_epu8(_mm_max_epu8(bytes, low), high);
  __builtin_memcpy(codes, &clamped, kRegs * kLanes);
#else
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) {
    const Sums low = task.low_code - Sums{};
    const Sums high = task.high_code - Sums{};
    const Sums raised = sums[r] < low ? low : sums[r];
    const Bytes bytes = __builtin_convertvector(raised > high ? high : raised, Bytes);
    __builtin_memcpy(codes + r * kLanes, &bytes, kLanes);
  }
#endif
}

COPPICE_INLINE Floats load_floats(const float* from) { return load<Floats>(from); }

// How activations and weights of each kind are read, multiplied and brought to values. Weights of a
// step and a channel are kWeights elements.
struct Integers {
  using Task = IntegerProduct;
  using Sum = Sums;
  static constexpr int kActivations = 2;  // a step
  static constexpr std::int64_t kWeights = 2;

  COPPICE_INLINE Sum weights(const std::int8_t* from) { return widen(from); }
  COPPICE_INLINE Sum activation(const std::int16_t* from) { return pair_to_all(from); }
  COPPICE_INLINE Sum add(Sum sum, Sum a, Sum b) { return add_products(sum, a, b); }
  // Of a register of channels.
  struct Ending {
    Sums bias;
    Floats multipliers;
  };
  COPPICE_INLINE Ending ending(const Task& task, std::int64_t channel) {
    return {load<Sums>(task.bias + channel), load_floats(task.multipliers + channel)};
  }
  COPPICE_INLINE Floats value(const Ending& ending, Sum sum) {
    return __builtin_convertvector(sum + ending.bias, Floats) * ending.multipliers;
  }
  COPPICE_INLINE Floats scaled(const Task&, Floats value) { return value; }
};

struct IntegersOfFourBits : Integers {
  static constexpr std::int64_t kWeights = 1;
  COPPICE_INLINE Sum weights(const std::int8_t* from) { return widen_halves(from); }
};

struct Values {
  using Task = FloatProduct;
  using Sum = Floats;
  static constexpr int kActivations = 1;
  static constexpr std::int64_t kWeights = 1;

  COPPICE_INLINE Sum weights(const float* from) { return load_floats(from); }
  COPPICE_INLINE Sum activation(const float* from) { return all(*from); }
  COPPICE_INLINE Sum add(Sum sum, Sum a, Sum b) { return add_products(sum, a, b); }
  struct Ending {
    Floats bias;
  };
  COPPICE_INLINE Ending ending(const Task& task, std::int64_t channel) {
    return {load_floats(task.bias + channel)};
  }
  COPPICE_INLINE Floats value(const Ending& ending, Sum sum) { return sum + ending.bias; }
  COPPICE_INLINE Floats scaled(const Task& task, Floats value) { return value / all(task.scale); }
};

template <std::int64_t kPiece, typename T>
COPPICE_INLINE void store_ends(const T* from, std::int64_t count, T* to) {
  __builtin_memcpy(to + count - kPiece, from + count - kPiece, kPiece * sizeof(T));
  __builtin_memcpy(to, from, kPiece * sizeof(T));
}

// `count` of fewer than 2 * kLanes items, in two pieces of a power of two that may overlap.
template <typename T>
COPPICE_INLINE void store_some(const T* from, std::int64_t count, T* to) {
  if (count >= 16) return store_ends<16>(from, count, to);
  if (count >= 8) return store_ends<8>(from, count, to);
  if (count >= 4) return store_ends<4>(from, count, to);
  if (count >= 2) return store_ends<2>(from, count, to);
  to[0] = from[0];
}

// The first `count` lanes, fewer than there are: straight from the register, since what is read
// across two stores waits for both, and what is read behind a store under a mask waits for that.
COPPICE_INLINE void store_lanes(Floats values, std::int64_t count, float* to) {
#if defined(__SSE2__)
#if defined(__AVX512BW__)
  __m256 eight = _mm512_castps512_ps256(values);
  if ((count & 8) != 0) {
    _mm256_storeu_ps(to, eight);
    eight = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(values), 1));
    to += 8;
  }
#elif defined(__AVX2__)
  const __m256 eight = values;
#endif
#if defined(__AVX2__)
  __m128 four = _mm256_castps256_ps128(eight);
  if ((count & 4) != 0) {
    _mm_storeu_ps(to, four);
    four = _mm256_extractf128_ps(eight, 1);
    to += 4;
  }
#else
  __m128 four = values;
#endif
  if ((count & 2) != 0) {
    _mm_storel_pi(reinterpret_cast<__m64*>(to), four);
    four = _mm_movehl_ps(four, four);
    to += 2;
  }
  if ((count & 1) != 0) _mm_store_ss(to, four);
#else
  float lanes[kLanes];
  __builtin_memcpy(lanes, &values, sizeof lanes);
  for (std::int64_t lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
#endif
}

// The first `count` of kRegs registers.
template <int kRegs>
COPPICE_INLINE void store_values(const Floats* values, std::int64_t count, float* to) {
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) {
    const std::int64_t left = count - r * kLanes;
    if (left >= kLanes) {
      __builtin_memcpy(to + r * kLanes, &values[r], sizeof(Floats));
    } else if (left > 0) {
      store_lanes(values[r], left, to + r * kLanes);
    }
  }
}

// Codes or values of one pixel. A pixel with fewer channels than its registers is written whole
// where that changes only what of the next pixels is written later, or does not matter
// (`may_spill`).
template <typename Kind, int kRegs>
COPPICE_INLINE void put_pixel(const typename Kind::Task& task, Floats* values, std::int64_t channel,
                              std::int64_t pixel, bool may_spill) {
  constexpr std::int64_t kWhole = kRegs * kLanes;
  const std::int64_t at = pixel * task.channels + channel;
  const std::int64_t left = task.channels - channel;
  const bool is_whole = left >= kWhole || (may_spill && at + kWhole <= task.pixels * task.channels);
  if (task.codes != nullptr) {
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) values[r] = Kind::scaled(task, values[r]);
    if (is_whole) return put_codes<kRegs>(values, task, task.codes + at);
    std::uint8_t some[kWhole];
    put_codes<kRegs>(values, task, some);
    store_some(some, left, task.codes + at);
  } else {
    store_values<kRegs>(values, is_whole ? kWhole : left, task.values + at);
  }
}

// The sums of `pixels` pixels, kStride registers apart, by kRegs registers of channels, which begin
// at `channel`. Not inlined: there are many tiles and this is their common end. The task is copied,
// so that what is written is known not to change it.
template <typename Kind, int kRegs, int kStride = kRegs>
__attribute__((noinline)) void finish(const typename Kind::Task& given,
                                      const typename Kind::Sum* sums, std::int64_t channel,
                                      std::int64_t pixel, int pixels) {
  const typename Kind::Task task = given;
  typename Kind::Ending endings[kRegs];
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) endings[r] = Kind::ending(task, channel + r * kLanes);
  for (int p = 0; p < pixels; ++p, sums += kStride) {
    Floats values[kRegs];
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) values[r] = Kind::value(endings[r], sums[r]);
    put_pixel<Kind, kRegs>(task, values, channel, pixel + p, channel == 0);
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
