#pragma once
// Loops whose speed is a machine's ceiling: what one core can compute, and move between memory and
// itself. Benches set other figures against them. They own nothing; any thread may call on its own
// arrays.
//
// Arithmetic uses the widest fused multiply-add that this CPU has (AVX-512, AVX2) and elsewhere
// plain multiplications and additions. The memory loops are compiled for the build's baseline:
// arrays larger than the caches are limited by memory, not by the width of a register, and figures
// of arrays that fit a cache would be too low.

#include <cstdint>      // for int64_t
#include <string_view>  // for string_view

namespace coppice::kernels {

struct MultiplyAdds {
  std::int64_t operations = 0;  // floating-point operations done: two a multiply-add
  float result = 0.0F;          // of all chains, so that no compiler leaves the work out
};

// `rounds` times one multiply-add in every lane of 12 independent chains, in fp32 registers only.
MultiplyAdds multiply_add(std::int64_t rounds);
std::string_view multiply_add_isa();  // "AVX-512", "AVX2", "baseline without FMA"

// Each over n floats (n a multiple of 2 for sum_words).
void copy(const float* from, float* to, std::int64_t n);  // moves 8 n bytes
void scale_and_add(float scale, const float* x, float* y,
                   std::int64_t n);  // y += scale * x; moves 12 n bytes
std::uint64_t sum_words(const float* values,
                        std::int64_t n);  // their bits as 8-byte words; reads 4 n bytes

}  // namespace coppice::kernels
