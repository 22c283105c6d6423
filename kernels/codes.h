#pragma once
// What update codecs do to every value: look at it, turn it into a small integer and back, and lay
// integers of a few bits side by side. Nothing here owns memory; any thread may call, on arrays
// that nobody else writes. Pointers need no alignment, and the result's bits do not depend on it.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

bool all_finite(const float* values, std::int64_t n);

// max |values[i]|; 0 for n = 0. Values must be finite.
float largest_magnitude(const float* values, std::int64_t n);

// codes[i] = floor(values[i] / scale + words[i] / 2^32): with random words, values[i] / scale
// rounded up with the probability of its fraction. All codes must fit 8 bits; all are 0 for scale
// 0.
void round_to_codes(const float* values, const std::uint32_t* words, float scale, std::int64_t n,
                    std::int8_t* codes);

// out[i] = values[i] * factor, rounded once, no further from zero than the largest finite float.
void scale_values(const float* values, double factor, std::int64_t n, float* out);

// Sum of a[i] * b[i] in double, in an order that only n decides.
double dot(const float* a, const float* b, std::int64_t n);

// out[i] = codes[i] * scale, no further from zero than the largest finite float.
void codes_to_values(const std::int8_t* codes, float scale, std::int64_t n, float* out);

// Lays codes below 2^bits (1 to 8) side by side, the first in the lowest bits of the first byte;
// unpacking is the reverse. n is a multiple of 8, so n * bits / 8 bytes are written or read.
void pack_codes(const std::uint8_t* codes, int bits, std::int64_t n, std::uint8_t* out);
void unpack_codes(const std::uint8_t* packed, int bits, std::int64_t n, std::uint8_t* out);

}  // namespace coppice::kernels
