#include "core/random.h"

#include <cmath>    // for sqrt, log, cos
#include <cstring>  // for memcpy
#include <numbers>  // for pi
#include <numeric>  // for iota
#include <utility>  // for swap

namespace coppice {
namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;

// Steele et al. 2014, SplitMix64: spreads (seed, purpose) over the 64 bits of the key.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

constexpr std::size_t kBlocks = 4;  // that fill() makes at once
constexpr std::size_t kWords = 4 * kBlocks;

// The same word of two blocks, in the lower halves of two lanes. The upper halves are rubbish,
// which no product reads and which nothing keeps.
using Lanes = std::uint64_t __attribute__((vector_size(16)));
using Words = std::uint32_t __attribute__((vector_size(16)));

Lanes product(Lanes a, std::uint32_t factor) {
  const Lanes factors{factor, factor};
#if defined(__SSE2__) && !defined(__clang__)  // GCC does not find the one instruction in the other
  using Ints = int __attribute__((vector_size(16)));
  return reinterpret_cast<Lanes>(
      __builtin_ia32_pmuludq128(reinterpret_cast<Ints>(a), reinterpret_cast<Ints>(factors)));
#else
  return (a & 0xFFFFFFFFU) * factors;
#endif
}

void philox_blocks(std::uint64_t first, std::array<std::uint32_t, 2> stream,
                   std::array<std::uint32_t, 2> key, std::uint32_t* out) {
  constexpr std::size_t kPairs = kBlocks / 2;
  Lanes pairs[kPairs][4];
  for (std::size_t i = 0; i < kPairs; ++i) {
    const Lanes blocks{first + 2 * i, first + 2 * i + 1};
    pairs[i][0] = blocks;
    pairs[i][1] = blocks >> 32U;
    pairs[i][2] = Lanes{stream[0], stream[0]};
    pairs[i][3] = Lanes{stream[1], stream[1]};
  }
  for (int round = 0; round < 10; ++round) {
    for (auto& [a, b, c, d] : pairs) {
      const Lanes product0 = product(a, kMultiplier0);
      const Lanes product1 = product(c, kMultiplier1);
      a = (product1 >> 32U) ^ b ^ key[0];
      b = product1;
      c = (product0 >> 32U) ^ d ^ key[1];
      d = product0;
    }
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  for (const auto& pair : pairs) {
    Words words[4];
    for (std::size_t k = 0; k < 4; ++k) words[k] = reinterpret_cast<Words>(pair[k]);
    const Words ab = __builtin_shufflevector(words[0], words[1], 0, 4, 2, 6);
    const Words cd = __builtin_shufflevector(words[2], words[3], 0, 4, 2, 6);
    const Words blocks[2] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                             __builtin_shufflevector(ab, cd, 2, 3, 6, 7)};
    std::memcpy(out, blocks, sizeof blocks);
    out += 8;
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32U) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32U) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomStream::RandomStream(RandomKey key) {
  const std::uint64_t mixed = mix(mix(key.seed) + static_cast<std::uint64_t>(key.purpose));
  key_ = {static_cast<std::uint32_t>(mixed), static_cast<std::uint32_t>(mixed >> 32U)};
  stream_ = {static_cast<std::uint32_t>(key.client), static_cast<std::uint32_t>(key.task)};
}

std::uint32_t RandomStream::next_u32() {
  if (used_ == 4) {
    block_ = philox4x32({static_cast<std::uint32_t>(block_index_),
                         static_cast<std::uint32_t>(block_index_ >> 32U), stream_[0], stream_[1]},
                        key_);
    ++block_index_;
    used_ = 0;
  }
  return block_[used_++];
}

std::uint64_t RandomStream::next_u64() {
  const std::uint64_t low = next_u32();
  return low | (std::uint64_t{next_u32()} << 32U);
}

void RandomStream::fill(std::span<std::uint32_t> words) {
  std::size_t i = 0;
  while (i < words.size() && used_ < 4) words[i++] = next_u32();
  for (; i + kWords <= words.size(); i += kWords) {
    philox_blocks(block_index_, stream_, key_, &words[i]);
    block_index_ += kBlocks;
  }
  while (i < words.size()) words[i++] = next_u32();
}

float RandomStream::next_uniform() { return static_cast<float>(next_u32() >> 8U) * 0x1p-24F; }

double RandomStream::next_uniform_double() {
  return static_cast<double>(next_u64() >> 11U) * 0x1p-53;
}

double RandomStream::next_normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - next_uniform_double()));
  return radius * std::cos(2.0 * std::numbers::pi * next_uniform_double());
}

double RandomStream::next_gamma(double shape) {
  if (shape < 1.0) {
    const double boost = std::pow(1.0 - next_uniform_double(), 1.0 / shape);
    return next_gamma(shape + 1.0) * boost;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = next_normal();
    const double v = std::pow(1.0 + c * x, 3.0);
    if (v <= 0.0) continue;
    if (std::log(1.0 - next_uniform_double()) < 0.5 * x * x + d - d * v + d * std::log(v))
      return d * v;
  }
}

std::uint64_t RandomStream::next_below(std::uint64_t bound) {
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;  // a multiple of bound
  std::uint64_t value = next_u64();
  while (value >= limit) value = next_u64();
  return value % bound;
}

void RandomStream::seek(std::uint64_t word) {
  block_index_ = word / 4;
  used_ = 4;
  for (std::uint64_t skip = word % 4; skip > 0; --skip) next_u32();
}

void shuffle(std::span<std::int64_t> values, RandomStream& stream) {
  for (std::size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[stream.next_below(i)]);
}

std::vector<std::int64_t> random_permutation(std::int64_t n, RandomStream& stream) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  shuffle(order, stream);
  return order;
}

}  // namespace coppice
