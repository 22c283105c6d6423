#include "kernels/ceilings.h"

#include <cstring>  // for memcpy

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace coppice::kernels {
namespace {

// Latency 4 on two ports needs 8 chains in flight; 12 leave room and fit 16 registers.
constexpr int kChains = 12;
constexpr float kScale =
    0.999F;  // values settle near kShift / (1 - kScale): no overflow, no denormals
constexpr float kShift = 0.001F;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) MultiplyAdds multiply_add_avx512(std::int64_t rounds) {
  const __m512 scale = _mm512_set1_ps(kScale);
  const __m512 shift = _mm512_set1_ps(kShift);
  __m512 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = _mm512_set1_ps(static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (__m512& chain : chains) chain = _mm512_fmadd_ps(chain, scale, shift);
  }
  float result = 0.0F;
  alignas(64) float lanes[16];
  for (const __m512& chain : chains) {
    _mm512_store_ps(lanes, chain);
    for (const float lane : lanes) result += lane;
  }
  return {rounds * kChains * 16 * 2, result};
}

__attribute__((target("avx2,fma"))) MultiplyAdds multiply_add_avx2(std::int64_t rounds) {
  const __m256 scale = _mm256_set1_ps(kScale);
  const __m256 shift = _mm256_set1_ps(kShift);
  __m256 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = _mm256_set1_ps(static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (__m256& chain : chains) chain = _mm256_fmadd_ps(chain, scale, shift);
  }
  float result = 0.0F;
  alignas(32) float lanes[8];
  for (const __m256& chain : chains) {
    _mm256_store_ps(lanes, chain);
    for (const float lane : lanes) result += lane;
  }
  return {rounds * kChains * 8 * 2, result};
}
#endif

MultiplyAdds multiply_add_baseline(std::int64_t rounds) {
  constexpr int kLanes = 4 * kChains;
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(i >> 2);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (float& lane : lanes) lane = lane * kScale + kShift;
  }
  float result = 0.0F;
  for (const float lane : lanes) result += lane;
  return {rounds * kLanes * 2, result};
}

struct Level {
  std::string_view isa;
  MultiplyAdds (*run)(std::int64_t rounds);
};

Level best_level() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {"AVX-512", multiply_add_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"AVX2", multiply_add_avx2};
#endif
  return {"baseline without FMA", multiply_add_baseline};
}

}  // namespace

MultiplyAdds multiply_add(std::int64_t rounds) { return best_level().run(rounds); }

std::string_view multiply_add_isa() { return best_level().isa; }

void copy(const float* from, float* to, std::int64_t n) {
  if (n > 0) std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

void scale_and_add(float scale, const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

std::uint64_t sum_words(const float* values, std::int64_t n) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i + 1 < n; i += 2) {
    std::uint64_t word = 0;
    std::memcpy(&word, values + i, sizeof word);
    sum += word;
  }
  return sum;
}

}  // namespace coppice::kernels
