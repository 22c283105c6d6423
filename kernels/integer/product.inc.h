#pragma once
// The product for the instruction set that the compiler's flags say. Included into one translation
// unit an instruction set; everything has internal linkage (kernels/lanes/registers.inc.h says
// why).

#include <cstdint>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/integer/integer.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

#define COPPICE_INLINE static inline __attribute__((always_inline))
#define COPPICE_UNROLL _Pragma("GCC unroll 16")

#if defined(__AVX512BW__)
constexpr std::int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::int64_t kLanes = 8;
#else
constexpr std::int64_t kLanes = 4;
#endif
// Pixels of a tile: two registers of channels each, as many as registers leave room for.
constexpr int kMostPixels = kLanes == 16 ? 12 : 6;
constexpr std::int64_t kPanel = 2 * kLanes;

using Sums = std::int32_t __attribute__((vector_size(4 * kLanes), may_alias));
using Floats = float __attribute__((vector_size(4 * kLanes), may_alias));
using LooseSums = std::int32_t __attribute__((vector_size(4 * kLanes), may_alias, aligned(4)));
using LooseFloats = float __attribute__((vector_size(4 * kLanes), may_alias, aligned(4)));
using Bytes = std::uint8_t __attribute__((vector_size(kLanes)));

#if defined(__x86_64__)
#if defined(__AVX512BW__)
using Register = __m512i;
#elif defined(__AVX2__)
using Register = __m256i;
#else
using Register = __m128i;
#endif
COPPICE_INLINE Sums as_sums(Register bits) { return reinterpret_cast<Sums>(bits); }
COPPICE_INLINE Register as_register(Sums sums) { return reinterpret_cast<Register>(sums); }
#endif

// 2 * kLanes weights as 16-bit integers.
COPPICE_INLINE Sums widen(const std::int8_t* weights) {
#if defined(__AVX512BW__)
  return as_sums(
      _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights))));
#elif defined(__AVX2__)
  return as_sums(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights))));
#elif defined(__SSE2__)
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights));
  return as_sums(_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8));
#else
  Sums pairs;
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto low = static_cast<std::uint32_t>(static_cast<std::uint16_t>(weights[2 * lane]));
    const auto high = static_cast<std::uint32_t>(static_cast<std::uint16_t>(weights[2 * lane + 1]));
    pairs[lane] = static_cast<std::int32_t>(low | high << 16U);
  }
  return pairs;
#endif
}

// sums + the products of both halves of each lane.
COPPICE_INLINE Sums add_products(Sums sums, Sums a, Sums b) {
#if defined(__AVX512VNNI__)
  return as_sums(_mm512_dpwssd_epi32(as_register(sums), as_register(a), as_register(b)));
#elif defined(__AVX512BW__)
  return sums + as_sums(_mm512_madd_epi16(as_register(a), as_register(b)));
#elif defined(__AVX2__)
  return sums + as_sums(_mm256_madd_epi16(as_register(a), as_register(b)));
#elif defined(__SSE2__)
  return sums + as_sums(_mm_madd_epi16(as_register(a), as_register(b)));
#else
  const Sums low = (a << 16 >> 16) * (b << 16 >> 16);
  return sums + low + (a >> 16) * (b >> 16);
#endif
}

COPPICE_INLINE Sums pair_to_all(const std::int16_t* pair) {
  std::int32_t both = 0;
  __builtin_memcpy(&both, pair, sizeof both);
  return both - Sums{};
}

COPPICE_INLINE Floats all(float x) { return x - Floats{}; }

// The nearest integers, ties to even, of what is bounded by +-512.
COPPICE_INLINE Sums rounded(Floats scaled) {
  constexpr float kBound = 512.0F;
  constexpr float kShift = 12582912.0F;
  const Floats above = scaled > all(-kBound) ? scaled : all(-kBound);
  const Floats bounded = above < all(kBound) ? above : all(kBound);
  return __builtin_convertvector((bounded + all(kShift)) - all(kShift), Sums);
}

// deploy/runtime/tensor.h's saturated_code() of kRegs registers, lane by lane.
template <int kRegs>
COPPICE_INLINE void put_codes(const Floats* scaled, const Product& task, std::uint8_t* codes) {
  Sums sums[2];
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) sums[r] = rounded(scaled[r]) + task.zero_point;
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

COPPICE_INLINE Floats load_floats(const float* from) {
  return *reinterpret_cast<const LooseFloats*>(from);
}

// How activations and weights of each kind are read, multiplied and brought to values.
struct Integers {
  using Task = IntegerProduct;
  using Sum = Sums;
  static constexpr int kActivations = 2;                // a step
  static constexpr std::int64_t kWeights = 2 * kPanel;  // a step and panel

  COPPICE_INLINE Sum weights(const std::int8_t* from, int half) {
    return widen(from + half * kPanel);
  }
  COPPICE_INLINE Sum activation(const std::int16_t* from) { return pair_to_all(from); }
  COPPICE_INLINE Sum add(Sum sum, Sum a, Sum b) { return add_products(sum, a, b); }
  COPPICE_INLINE Floats value(const Task& task, Sum sum, std::int64_t channel) {
    const Sums total = sum + *reinterpret_cast<const LooseSums*>(task.bias + channel);
    return __builtin_convertvector(total, Floats) * load_floats(task.multipliers + channel);
  }
  COPPICE_INLINE Floats scaled(const Task&, Floats value) { return value; }
};

struct Values {
  using Task = FloatProduct;
  using Sum = Floats;
  static constexpr int kActivations = 1;
  static constexpr std::int64_t kWeights = kPanel;

  COPPICE_INLINE Sum weights(const float* from, int half) {
    return load_floats(from + half * kLanes);
  }
  COPPICE_INLINE Sum activation(const float* from) { return all(*from); }
  COPPICE_INLINE Sum add(Sum sum, Sum a, Sum b) { return sum + a * b; }
  COPPICE_INLINE Floats value(const Task& task, Sum sum, std::int64_t channel) {
    return sum + load_floats(task.bias + channel);
  }
  COPPICE_INLINE Floats scaled(const Task& task, Floats value) { return value / all(task.scale); }
};

template <std::int64_t kPiece, typename T>
COPPICE_INLINE void store_ends(const T* from, std::int64_t count, T* to) {
  __builtin_memcpy(to + count - kPiece, from + count - kPiece, kPiece * sizeof(T));
  __builtin_memcpy(to, from, kPiece * sizeof(T));
}

// `count` of fewer than kPanel items, in two pieces of a power of two that may overlap.
template <typename T>
COPPICE_INLINE void store_some(const T* from, std::int64_t count, T* to) {
  if (count >= 16) return store_ends<16>(from, count, to);
  if (count >= 8) return store_ends<8>(from, count, to);
  if (count >= 4) return store_ends<4>(from, count, to);
  if (count >= 2) return store_ends<2>(from, count, to);
  to[0] = from[0];
}

// One pixel's sums of kRegs registers of channels, which begin at `channel`.
template <typename Kind, int kRegs>
COPPICE_INLINE void finish(const typename Kind::Task& task, const typename Kind::Sum* sums,
                           std::int64_t channel, std::int64_t pixel) {
  Floats values[kRegs];
  COPPICE_UNROLL
  for (int r = 0; r < kRegs; ++r) values[r] = Kind::value(task, sums[r], channel + r * kLanes);
  const std::int64_t at = pixel * task.channels + channel;
  const std::int64_t left = task.channels - channel;
  if (task.codes != nullptr) {
    COPPICE_UNROLL
    for (int r = 0; r < kRegs; ++r) values[r] = Kind::scaled(task, values[r]);
    if (left >= kRegs * kLanes) {
      put_codes<kRegs>(values, task, task.codes + at);
    } else {
      std::uint8_t some[kPanel];
      put_codes<kRegs>(values, task, some);
      store_some(some, left, task.codes + at);
    }
  } else if (left >= kRegs * kLanes) {
    __builtin_memcpy(task.values + at, values, sizeof values);
  } else {
    float some[kPanel];
    __builtin_memcpy(some, values, sizeof values);
    store_some(some, left, task.values + at);
  }
}

template <typename Kind, int kRegs, int kPixels, typename Weight>
void tile(const typename Kind::Task& task, const Weight* weights, std::int64_t channel,
          std::int64_t pixel) {
  typename Kind::Sum sums[kPixels][kRegs] = {};
  const std::int64_t step = task.pixel_step;
  auto run = task.input + pixel * step;
  for (std::int64_t r = 0; r < task.runs; ++r, run += task.run_step) {
    auto at = run;
    for (std::int64_t s = 0; s < task.steps;
         ++s, at += Kind::kActivations, weights += Kind::kWeights) {
      typename Kind::Sum of_channels[kRegs];
      COPPICE_UNROLL
      for (int r2 = 0; r2 < kRegs; ++r2) of_channels[r2] = Kind::weights(weights, r2);
      COPPICE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        const auto activation = Kind::activation(at + p * step);
        COPPICE_UNROLL
        for (int r2 = 0; r2 < kRegs; ++r2)
          sums[p][r2] = Kind::add(sums[p][r2], activation, of_channels[r2]);
      }
    }
  }
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; ++p) finish<Kind, kRegs>(task, sums[p], channel, pixel + p);
}

// All pixels of kRegs registers of channels, in tiles of about equal size: none is left with a
// pixel or two.
template <typename Kind, int kRegs, typename Weight, int... kLess>
COPPICE_INLINE void column(const typename Kind::Task& task, const Weight* weights,
                           std::int64_t channel, std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const typename Kind::Task&, const Weight*, std::int64_t, std::int64_t);
  constexpr Tile kTiles[] = {tile<Kind, kRegs, kLess + 1, Weight>...};
  constexpr std::int64_t kMost = sizeof...(kLess);
  const std::int64_t tiles = (task.pixels + kMost - 1) / kMost;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t begin = task.pixels * t / tiles;
    const std::int64_t end = task.pixels * (t + 1) / tiles;
    kTiles[end - begin - 1](task, weights, channel, begin);
  }
}

template <typename Kind, typename Weight>
COPPICE_INLINE void all_tiles(const typename Kind::Task& task, const Weight* weights) {
  const std::int64_t panel_weights = task.runs * task.steps * Kind::kWeights;
  for (std::int64_t channel = 0; channel < task.channels;
       channel += kPanel, weights += panel_weights) {
    if (task.channels - channel > kLanes) {
      column<Kind, 2>(task, weights, channel, std::make_integer_sequence<int, kMostPixels>{});
    } else {
      column<Kind, 1>(task, weights, channel, std::make_integer_sequence<int, 2 * kMostPixels>{});
    }
  }
}

void product(const IntegerProduct& task) { all_tiles<Integers>(task, task.weights); }

void float_product(const FloatProduct& task) { all_tiles<Values>(task, task.weights); }

}  // namespace

extern const IntegerKernels COPPICE_INTEGER_TABLE;
const IntegerKernels COPPICE_INTEGER_TABLE = {.isa = COPPICE_INTEGER_ISA,
                                              .panel = kPanel,
                                              .product = product,
                                              .float_product = float_product};

}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
