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

// Before the compiler looks for what can stay in registers.
#define COPPICE_UNROLL _Pragma("GCC unroll 16")

#if defined(__x86_64__)
__attribute__((target("avx512f"))) MultiplyAdds multiply_add_avx512(std::int64_t rounds) {
  const __m512 scale = _mm512_set1_ps(kScale);
  const __m512 shift = _mm512_set1_ps(kShift);
  __m512 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = _mm512_set1_ps(static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
    COPPICE_UNROLL
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
    COPPICE_UNROLL
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

std::uint32_t sum_of(const std::uint32_t* values, int n) {
  std::uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += values[i];
  return sum;
}

// Sums of 32 bits; a multiply-add's latency 5 on two ports needs 10 of them. Where products and
// sums are two instructions they go in groups of two: products queue for fewer ports than sums.
constexpr int kSums = 10;

#if defined(__x86_64__)
constexpr std::int32_t pair_of(std::int16_t low, std::int16_t high) {
  return (std::int32_t{high} * 65536) | std::int32_t{low};
}
constexpr std::int32_t kActivations = pair_of(kIntegerActivation, kIntegerActivation);
constexpr std::int32_t kWeights = pair_of(kIntegerLow, kIntegerHigh);

// The compiler takes `x` for changed, so that it repeats what is computed of it.
#define COPPICE_RENEW(x) asm volatile("" : "+v"(x))

// Bytes, four of them a lane.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) IntegerMultiplyAdds integers_vnni(
    std::int64_t rounds) {
  __m512i activations = _mm512_set1_epi8(static_cast<char>(kIntegerActivation));
  const __m512i weights = _mm512_set1_epi16(kIntegerHigh * 256 + kIntegerLow);
  __m512i sums[kSums] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
    COPPICE_UNROLL
    for (__m512i& sum : sums) {
      COPPICE_RENEW(activations);
      sum = _mm512_dpbusd_epi32(sum, activations, weights);
    }
  }
  alignas(64) std::uint32_t lanes[kSums][16];
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) _mm512_store_si512(lanes[i], sums[i]);
  return {rounds * kSums * 16 * 8, sum_of(lanes[0], kSums * 16)};
}

__attribute__((target("avx512f,avx512bw"))) IntegerMultiplyAdds integers_avx512(
    std::int64_t rounds) {
  __m512i activations = _mm512_set1_epi32(kActivations);
  const __m512i weights = _mm512_set1_epi32(kWeights);
  __m512i sums[kSums] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
    COPPICE_UNROLL
    for (int i = 0; i < kSums; i += 2) {
      COPPICE_RENEW(activations);
      __m512i first = _mm512_madd_epi16(activations, weights);
      COPPICE_RENEW(activations);
      __m512i second = _mm512_madd_epi16(activations, weights);
      COPPICE_RENEW(second);  // stays before the sums
      sums[i] = _mm512_add_epi32(sums[i], first);
      sums[i + 1] = _mm512_add_epi32(sums[i + 1], second);
      COPPICE_RENEW(sums[i]);
      COPPICE_RENEW(sums[i + 1]);
    }
  }
  alignas(64) std::uint32_t lanes[kSums][16];
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) _mm512_store_si512(lanes[i], sums[i]);
  return {rounds * kSums * 16 * 4, sum_of(lanes[0], kSums * 16)};
}

__attribute__((target("avx2"))) IntegerMultiplyAdds integers_avx2(std::int64_t rounds) {
  __m256i activations = _mm256_set1_epi32(kActivations);
  const __m256i weights = _mm256_set1_epi32(kWeights);
  __m256i sums[kSums] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
    COPPICE_UNROLL
    for (int i = 0; i < kSums; i += 2) {
      COPPICE_RENEW(activations);
      __m256i first = _mm256_madd_epi16(activations, weights);
      COPPICE_RENEW(activations);
      __m256i second = _mm256_madd_epi16(activations, weights);
      COPPICE_RENEW(second);  // stays before the sums
      sums[i] = _mm256_add_epi32(sums[i], first);
      sums[i + 1] = _mm256_add_epi32(sums[i + 1], second);
      COPPICE_RENEW(sums[i]);
      COPPICE_RENEW(sums[i + 1]);
    }
  }
  alignas(32) std::uint32_t lanes[kSums][8];
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) _mm256_store_si256(reinterpret_cast<__m256i*>(lanes[i]), sums[i]);
  return {rounds * kSums * 8 * 4, sum_of(lanes[0], kSums * 8)};
}

IntegerMultiplyAdds integers_baseline(std::int64_t rounds) {
  __m128i activations = _mm_set1_epi32(kActivations);
  const __m128i weights = _mm_set1_epi32(kWeights);
  __m128i sums[kSums] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
    COPPICE_UNROLL
    for (int i = 0; i < kSums; i += 2) {
      COPPICE_RENEW(activations);
      __m128i first = _mm_madd_epi16(activations, weights);
      COPPICE_RENEW(activations);
      __m128i second = _mm_madd_epi16(activations, weights);
      COPPICE_RENEW(second);  // stays before the sums
      sums[i] = _mm_add_epi32(sums[i], first);
      sums[i + 1] = _mm_add_epi32(sums[i + 1], second);
      COPPICE_RENEW(sums[i]);
      COPPICE_RENEW(sums[i + 1]);
    }
  }
  alignas(16) std::uint32_t lanes[kSums][4];
  COPPICE_UNROLL
  for (int i = 0; i < kSums; ++i) _mm_store_si128(reinterpret_cast<__m128i*>(lanes[i]), sums[i]);
  return {rounds * kSums * 4 * 4, sum_of(lanes[0], kSums * 4)};
}
#else
IntegerMultiplyAdds integers_baseline(std::int64_t rounds) {
  std::uint32_t lanes[4 * kSums] = {};
  volatile std::int32_t activation = kIntegerActivation;
  for (std::int64_t round = 0; round < rounds; ++round) {
    const std::int32_t x = activation;
    for (std::uint32_t& lane : lanes)
      lane += static_cast<std::uint32_t>(x * kIntegerLow + x * kIntegerHigh);
  }
  return {rounds * kSums * 4 * 4, sum_of(lanes, 4 * kSums)};
}
#endif

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

const CeilingLoops* ceiling_loops(std::string_view isa) {
#if defined(__x86_64__)
  static constexpr CeilingLoops kVnni{multiply_add_avx512, integers_vnni};
  static constexpr CeilingLoops kAvx512{multiply_add_avx512, integers_avx512};
  static constexpr CeilingLoops kAvx2{multiply_add_avx2, integers_avx2};
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (isa == "avx512-vnni" && has_avx512 && __builtin_cpu_supports("avx512vnni")) return &kVnni;
  if (isa == "avx512" && has_avx512) return &kAvx512;
  if (isa == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &kAvx2;
#endif
  static constexpr CeilingLoops kBaseline{multiply_add_baseline, integers_baseline};
  return isa == "baseline" ? &kBaseline : nullptr;
}

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
