#pragma once
// Loops whose speed is a machine's ceiling: what one core can compute, and move between memory and
// itself. Benches set other figures against them. They own nothing; any thread may call on its own
// arrays.
//
// Arithmetic uses the widest fused multiply-add that this CPU has (AVX-512, AVX2) and elsewhere
// plain multiplications and additions. The memory loops are compiled for the build's baseline:
// arrays larger than the caches are limited by memory, not by the width of a register, and figures
// of arrays that fit a cache would be too low.

#include <cstdint>      // for int64_t, uint32_t
#include <string_view>  // for string_view

namespace coppice::kernels {

struct MultiplyAdds {
  std::int64_t operations = 0;  // floating-point operations done: two a multiply-add
  float result = 0.0F;          // of all chains, so that no compiler leaves the work out
};

// `rounds` times one multiply-add in every lane of 12 independent chains, in fp32 registers only.
MultiplyAdds multiply_add(std::int64_t rounds);
std::string_view multiply_add_isa();  // "AVX-512", "AVX2", "baseline without FMA"

// The same for the products of integer inference, of 16-bit pairs or, with VNNI, of bytes: `rounds`
// times, in every lane of 10 independent sums
// of 32 bits, + kIntegerActivation * kIntegerLow + kIntegerActivation * kIntegerHigh, modulo 2^32.
struct IntegerMultiplyAdds {
  std::int64_t operations = 0;  // two a multiply-add, four a pair
  std::uint32_t result = 0;     // the total of all sums
};
constexpr std::int16_t kIntegerActivation = 255;
constexpr std::int16_t kIntegerLow = 127;
constexpr std::int16_t kIntegerHigh = 100;

// Both kinds with one instruction set.
struct CeilingLoops {
  MultiplyAdds (*floats)(std::int64_t rounds);
  IntegerMultiplyAdds (*integers)(std::int64_t rounds);
};
// `isa` as IntegerKernels::isa says it (kernels/integer/integer.h). Null for another name and for
// one that this processor does not run.
const CeilingLoops* ceiling_loops(std::string_view isa);

// Each over n floats (n a multiple of 2 for sum_words).
void copy(const float* from, float* to, std::int64_t n);  // moves 8 n bytes
void scale_and_add(float scale, const float* x, float* y,
                   std::int64_t n);  // y += scale * x; moves 12 n bytes
std::uint64_t sum_words(const float* values,
                        std::int64_t n);  // their bits as 8-byte words; reads 4 n bytes

}  // namespace coppice::kernels
