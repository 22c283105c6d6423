#pragma once
// Dense products of bytes, where the instruction set multiplies four activations by four weights in
// a lane and adds without saturating (VNNI). Weights lie as they do for pairs of 16-bit
// activations; two steps of a panel become one register.

#include "kernels/integer/product.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {
namespace {

#if defined(__AVX512VNNI__)
static_assert(kLanes == kPanelChannels);

// How the weights of a panel of `width` channels become a register of four a channel.
template <bool kHasHalves>
struct FourWeights {
  static constexpr std::int64_t kPair = kHasHalves ? 1 : 2;  // bytes of a pair of weights
  std::int64_t step;                                         // bytes of a pair of all channels
  __m512i order;

  explicit FourWeights(std::int64_t width) : step(width * kPair), order() {
    const __m512i channels = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i behind = _mm512_add_epi32(channels, _mm512_set1_epi32(static_cast<int>(width)));
    order = _mm512_or_si512(channels, _mm512_slli_epi32(behind, 16));
  }

  // Of two steps, the first of which is at `from`.
  __m512i two(const std::int8_t* from) const {
    if constexpr (kHasHalves) {
      return apart(_mm512_or_si512(widened(from), _mm512_slli_epi32(widened(from + step), 16)));
    } else {
      return _mm512_permutexvar_epi16(order, _mm512_loadu_si512(from));
    }
  }

  // Of a run's last step; weights of two activations that belong to nobody are 0.
  __m512i one(const std::int8_t* from) const {
    if constexpr (kHasHalves) return apart(widened(from));
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }

 private:
  static __m512i widened(const std::int8_t* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  // Each half of the bytes 0 and 2 of a lane to a byte, with its sign.
  static __m512i apart(__m512i halves) {
    const __m512i spread = _mm512_or_si512(halves, _mm512_slli_epi32(halves, 4));
    const __m512i sign = _mm512_set1_epi8(8);
    const __m512i low = _mm512_and_si512(spread, _mm512_set1_epi8(15));
    return _mm512_sub_epi8(_mm512_xor_si512(low, sign), sign);
  }
};

COPPICE_INLINE __m512i four_to_all(const std::uint8_t* four) {
  std::int32_t all_of_them = 0;
  __builtin_memcpy(&all_of_them, four, sizeof all_of_them);
  return _mm512_set1_epi32(all_of_them);
}

template <int kRegs, int kPixels>
COPPICE_INLINE void add_fours(Sums (&sums)[kPixels][kRegs], const std::uint8_t* at,
                              std::int64_t step, const __m512i (&weights)[kRegs]) {
  COPPICE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    const __m512i activations = four_to_all(at + p * step);
    COPPICE_UNROLL
    for (int c = 0; c < kRegs; ++c) {
      sums[p][c] = as_sums(_mm512_dpbusd_epi32(as_register(sums[p][c]), activations, weights[c]));
    }
  }
}

// Panels lie one behind the other, all but the last as wide as a register.
template <bool kHasHalves, int kRegs, int kPixels>
void byte_tile(const IntegerProduct& task, std::int64_t channel, std::int64_t pixel) {
  using Weights = FourWeights<kHasHalves>;
  constexpr int kLast = kRegs - 1;
  const std::int64_t of_panel = task.runs * task.steps * Weights::kPair * kPanelChannels;
  const std::int64_t left = task.channels - channel - kLast * kPanelChannels;
  const Weights whole(kPanelChannels);
  const Weights narrow(left < kPanelChannels ? left : kPanelChannels);
  const std::int8_t* first = task.weights + channel / kPanelChannels * of_panel;
  const std::int8_t* last = first + kLast * of_panel;
  Sums sums[kPixels][kRegs] = {};
  const std::uint8_t* run = task.bytes + pixel * task.pixel_step;
  for (std::int64_t r = 0; r < task.runs; ++r, run += task.run_step) {
    const std::uint8_t* at = run;
    std::int64_t s = 0;
    for (; s + 2 <= task.steps; s += 2, at += 4) {
      __m512i weights[kRegs];
      COPPICE_UNROLL
      for (int c = 0; c < kLast; ++c) weights[c] = whole.two(first + c * of_panel);
      weights[kLast] = narrow.two(last);
      add_fours<kRegs, kPixels>(sums, at, task.pixel_step, weights);
      first += 2 * whole.step;
      last += 2 * narrow.step;
    }
    if (s == task.steps) continue;
    __m512i weights[kRegs];
    COPPICE_UNROLL
    for (int c = 0; c < kLast; ++c) weights[c] = whole.one(first + c * of_panel);
    weights[kLast] = narrow.one(last);
    add_fours<kRegs, kPixels>(sums, at, task.pixel_step, weights);
    first += whole.step;
    last += narrow.step;
  }
  finish_tile<Integers, kRegs, kPixels>(task, sums, channel, pixel);
}

template <bool kHasHalves>
struct ByteTiles {
  using Task = IntegerProduct;
  template <int kRegs, int kPixels>
  static constexpr auto* kTile = byte_tile<kHasHalves, kRegs, kPixels>;
};

void byte_product_of_task(const IntegerProduct& task) {
  if (task.bits == 4) return all_tiles<ByteTiles<true>>(task);
  all_tiles<ByteTiles<false>>(task);
}
constexpr auto* kByteProduct = byte_product_of_task;
#else
constexpr void (*kByteProduct)(const IntegerProduct& task) = nullptr;
#endif

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
