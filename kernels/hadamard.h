#pragma once
// The Walsh-Hadamard transform, in place and without its factor: values[i] becomes the sum of
// (-1)^popcount(i & j) values[j]; applied twice it multiplies by n. The order of the additions is
// fixed, so the result's bits depend on the values alone. Any thread may call, on an array that
// nobody else writes; pointers need no alignment.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

// n is a power of two, at least kSmallestHadamard.
inline constexpr std::int64_t kSmallestHadamard = 32;
void walsh_hadamard(float* values, std::int64_t n);

// Negates values[i] where bit i % 32 of words[i / 32] is set. n is a multiple of 32.
void flip_signs(const std::uint32_t* words, std::int64_t n, float* values);

}  // namespace coppice::kernels
