#pragma once
// Registers of the instruction set that the compiler's flags say. Included, as the other .inc.h of
// this folder, into one translation unit an instruction set; everything has internal linkage
// (kernels/lanes/registers.inc.h says why).

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
#define COPPICE_UNROLL _Pragma("GCC unroll 32")

#if defined(__AVX512BW__)
constexpr std::int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::int64_t kLanes = 8;
#else
constexpr std::int64_t kLanes = 4;
#endif
// Pixels of a tile: two registers of channels each, as many as registers leave room for.
constexpr int kMostPixels = kLanes == 16 ? 12 : 6;

using Sums = std::int32_t __attribute__((vector_size(4 * kLanes), may_alias));
using Floats = float __attribute__((vector_size(4 * kLanes), may_alias));
using Bytes = std::uint8_t __attribute__((vector_size(kLanes)));
using Halves = std::int16_t __attribute__((vector_size(4 * kLanes), may_alias));

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

// A register from anywhere.
template <typename Vector, typename T>
COPPICE_INLINE Vector load(const T* from) {
  Vector vector;
  __builtin_memcpy(&vector, from, sizeof vector);
  return vector;
}

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

// The same of 4-bit codes, two a byte: each half goes to the top of its 16 bits and back.
COPPICE_INLINE Sums widen_halves(const std::int8_t* weights) {
#if defined(__AVX512BW__)
  const Sums both =
      as_sums(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights))));
#elif defined(__AVX2__)
  const Sums both =
      as_sums(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights))));
#elif defined(__SSE2__)
  std::int32_t four = 0;
  __builtin_memcpy(&four, weights, sizeof four);
  const __m128i none = _mm_setzero_si128();
  const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), none);
  const Sums both = as_sums(_mm_unpacklo_epi16(words, none));
#else
  const Sums both = __builtin_convertvector(load<Bytes>(weights), Sums);
#endif
  const Halves apart = reinterpret_cast<Halves>(both | both << 12);
  return reinterpret_cast<Sums>(apart << 12 >> 12);
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

// sums + a * b, rounded once where the instruction set can.
COPPICE_INLINE Floats add_products(Floats sums, Floats a, Floats b) {
#if defined(__AVX512BW__)
  return _mm512_fmadd_ps(a, b, sums);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, sums);
#else
  return sums + a * b;
#endif
}

// Calls act(first pixel, pixels) for tiles of at most kMost pixels and about equal size: none is
// left with a pixel or two.
template <std::int64_t kMost, typename Act>
COPPICE_INLINE void for_tiles(std::int64_t pixels, const Act& act) {
  if (pixels <= kMost) return act(0, pixels);
  const std::int64_t tiles = (pixels + kMost - 1) / kMost;
  const std::int64_t least = pixels / tiles;
  const std::int64_t larger = pixels - least * tiles;
  for (std::int64_t t = 0, pixel = 0; t < tiles; ++t) {
    const std::int64_t here = t < larger ? least + 1 : least;
    act(pixel, here);
    pixel += here;
  }
}

COPPICE_INLINE Floats all(float x) { return x - Floats{}; }

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
