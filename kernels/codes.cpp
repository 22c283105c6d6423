#include "kernels/codes.h"

#include <algorithm>  // for max, clamp
#include <bit>        // for bit_cast
#include <cfloat>     // for FLT_MAX
#include <cmath>      // for abs
#include <cstring>    // for memcpy

#include "kernels/clones.h"

namespace coppice::kernels {
namespace {

[[gnu::always_inline]] inline float to_float(double value) {
  return static_cast<float>(std::clamp(value, -double{FLT_MAX}, double{FLT_MAX}));
}

// Eight codes are one number of `kBits` bytes.
template <int kBits>
inline void pack_eights(const std::uint8_t* codes, std::int64_t n, std::uint8_t* out) {
  for (std::int64_t i = 0; i < n; i += 8, out += kBits) {
    std::uint64_t word = 0;
    for (int j = 0; j < 8; ++j) word |= std::uint64_t{codes[i + j]} << (kBits * j);
    std::memcpy(out, &word, kBits);
  }
}

template <int kBits>
inline void unpack_eights(const std::uint8_t* packed, std::int64_t n, std::uint8_t* out) {
  for (std::int64_t i = 0; i < n; i += 8, packed += kBits) {
    std::uint64_t word = 0;
    std::memcpy(&word, packed, kBits);
    for (int j = 0; j < 8; ++j)
      out[i + j] = static_cast<std::uint8_t>((word >> (kBits * j)) & ((1U << kBits) - 1U));
  }
}

}  // namespace

COPPICE_CLONES
bool all_finite(const float* values, std::int64_t n) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  std::uint32_t found = 0;
  for (std::int64_t i = 0; i < n; ++i)
    found |= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) == kExponent ? 1U : 0U;
  return found == 0;
}

COPPICE_CLONES
float largest_magnitude(const float* values, std::int64_t n) {
  // As integers, because magnitudes order like their bits and integers have a maximum that may be
  // taken in any order.
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i)
    largest = std::max(largest, std::bit_cast<std::int32_t>(values[i]) & 0x7FFFFFFF);
  return std::bit_cast<float>(largest);
}

COPPICE_CLONES
void round_to_codes(const float* values, const std::uint32_t* words, float scale, std::int64_t n,
                    std::int8_t* codes) {
  if (scale == 0.0F) {
    std::fill_n(codes, n, std::int8_t{0});
    return;
  }
  const double divisor = double{scale};
  for (std::int64_t i = 0; i < n; ++i) {
    // A word without its sign bit converts in one instruction; 2^31 is added back as a number.
    const auto word = static_cast<std::int32_t>(words[i] ^ 0x80000000U);
    const double uniform = (word + 0x1p31) * 0x1p-32;
    const double steps = double{values[i]} / divisor + uniform;
    const auto towards_zero = static_cast<std::int32_t>(steps);
    codes[i] = static_cast<std::int8_t>(towards_zero -
                                        (static_cast<double>(towards_zero) > steps ? 1 : 0));
  }
}

COPPICE_CLONES
void scale_values(const float* values, double factor, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = to_float(double{values[i]} * factor);
}

COPPICE_CLONES
double dot(const float* a, const float* b, std::int64_t n) {
  constexpr std::int64_t kLanes = 8;
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += double{a[i + lane]} * double{b[i + lane]};
  }
  for (; i < n; ++i) lanes[i % kLanes] += double{a[i]} * double{b[i]};
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

COPPICE_CLONES
void codes_to_values(const std::int8_t* codes, float scale, std::int64_t n, float* out) {
  // The product of a 24-bit and an 8-bit number is exact in double.
  for (std::int64_t i = 0; i < n; ++i) out[i] = to_float(codes[i] * double{scale});
}

void pack_codes(const std::uint8_t* codes, int bits, std::int64_t n, std::uint8_t* out) {
  switch (bits) {
    case 1:
      return pack_eights<1>(codes, n, out);
    case 2:
      return pack_eights<2>(codes, n, out);
    case 3:
      return pack_eights<3>(codes, n, out);
    case 4:
      return pack_eights<4>(codes, n, out);
    case 5:
      return pack_eights<5>(codes, n, out);
    case 6:
      return pack_eights<6>(codes, n, out);
    case 7:
      return pack_eights<7>(codes, n, out);
    default:
      return pack_eights<8>(codes, n, out);
  }
}

void unpack_codes(const std::uint8_t* packed, int bits, std::int64_t n, std::uint8_t* out) {
  switch (bits) {
    case 1:
      return unpack_eights<1>(packed, n, out);
    case 2:
      return unpack_eights<2>(packed, n, out);
    case 3:
      return unpack_eights<3>(packed, n, out);
    case 4:
      return unpack_eights<4>(packed, n, out);
    case 5:
      return unpack_eights<5>(packed, n, out);
    case 6:
      return unpack_eights<6>(packed, n, out);
    case 7:
      return unpack_eights<7>(packed, n, out);
    default:
      return unpack_eights<8>(packed, n, out);
  }
}

}  // namespace coppice::kernels
