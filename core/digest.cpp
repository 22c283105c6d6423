#include "core/digest.h"

#include <algorithm>  // for copy_n
#include <bit>        // for rotr, rotl
#include <cstring>    // for memcpy
#include <vector>     // for vector

#include "core/text.h"

namespace coppice {
namespace {

constexpr std::array<std::uint32_t, 64> kSha256Constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t load_big_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24U | std::uint32_t{p[1]} << 16U | std::uint32_t{p[2]} << 8U |
         std::uint32_t{p[3]};
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define COPPICE_SHA_INSTRUCTIONS
using Words = std::uint32_t __attribute__((vector_size(16)));
using Ints = int __attribute__((vector_size(16)));  // what the instructions are declared with
using Bytes = char __attribute__((vector_size(16)));

template <typename To, typename From>
[[gnu::always_inline]] inline To as(From vector) {
  return reinterpret_cast<To>(vector);
}

// The same by the instructions of the SHA extensions, six times as fast: two rounds each, on the
// state as {f, e, b, a} and {h, g, d, c}, and on four words of the message at a time.
__attribute__((target("sha,sse4.1"))) void compress_by_instructions(
    std::array<std::uint32_t, 8>& state, const std::uint8_t* block) {
  const Words first_before{state[5], state[4], state[1], state[0]};
  const Words second_before{state[7], state[6], state[3], state[2]};
  Words first = first_before;
  Words second = second_before;
  Words message[16];
  for (std::size_t i = 0; i < 16; ++i) {
    if (i < 4) {
      Bytes bytes;
      std::memcpy(&bytes, block + 16 * i, sizeof bytes);
      const Bytes big_endian{3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12};
      bytes = __builtin_shuffle(bytes, big_endian);
      std::memcpy(&message[i], &bytes, sizeof bytes);
    } else {
      const Words older =
          as<Words>(__builtin_ia32_sha256msg1(as<Ints>(message[i - 4]), as<Ints>(message[i - 3])));
      const Words seven_back = __builtin_shufflevector(message[i - 2], message[i - 1], 1, 2, 3, 4);
      message[i] = as<Words>(
          __builtin_ia32_sha256msg2(as<Ints>(older + seven_back), as<Ints>(message[i - 1])));
    }
    Words constants;
    std::memcpy(&constants, &kSha256Constants[4 * i], sizeof constants);
    const Words scheduled = message[i] + constants;
    const Words later = __builtin_shufflevector(scheduled, scheduled, 2, 3, 2, 3);
    second = as<Words>(
        __builtin_ia32_sha256rnds2(as<Ints>(second), as<Ints>(first), as<Ints>(scheduled)));
    first =
        as<Words>(__builtin_ia32_sha256rnds2(as<Ints>(first), as<Ints>(second), as<Ints>(later)));
  }
  first += first_before;
  second += second_before;
  const Words sums[2] = {first, second};
  constexpr std::size_t kPlace[2][4] = {{5, 4, 1, 0}, {7, 6, 3, 2}};
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t lane = 0; lane < 4; ++lane) state[kPlace[half][lane]] = sums[half][lane];
  }
}
#endif

}  // namespace

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}

void Sha256::compress(const std::uint8_t* block) {
#if defined(COPPICE_SHA_INSTRUCTIONS)
  static const bool has_instructions = __builtin_cpu_supports("sha") != 0;
  if (has_instructions) return compress_by_instructions(state_, block);
#endif
  sha256_compress(state_, block);
}

void sha256_compress(std::array<std::uint32_t, 8>& state, const std::uint8_t* block) {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < 16; ++i) w[i] = load_big_endian(block + 4 * i);
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3U);
    const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10U);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kSha256Constants[i] + w[i];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<std::uint32_t, 8> add{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += add[i];
}

void Sha256::update(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const std::size_t filled = length_bytes_ % 64;
    if (filled == 0 && bytes.size() >= 64) {
      compress(bytes.data());
      length_bytes_ += 64;
      bytes = bytes.subspan(64);
      continue;
    }
    const std::size_t taken = std::min(bytes.size(), 64 - filled);
    std::copy_n(bytes.begin(), taken, block_.begin() + static_cast<std::ptrdiff_t>(filled));
    length_bytes_ += taken;
    bytes = bytes.subspan(taken);
    if (length_bytes_ % 64 == 0) compress(block_.data());
  }
}

void Sha256::update(std::string_view bytes) { update(bytes_of(bytes)); }

std::array<std::uint8_t, 32> Sha256::finish() {
  const std::uint64_t length_bits = length_bytes_ * 8;
  std::array<std::uint8_t, 72> padding{0x80};
  const std::size_t zeros_end =
      (119 - length_bytes_ % 64) % 64 + 1;  // 0x80 and zeros, up to 8 bytes before a block ends
  for (std::size_t i = 0; i < 8; ++i)
    padding[zeros_end + i] = static_cast<std::uint8_t>(length_bits >> (56 - 8 * i));
  update(std::span<const std::uint8_t>(padding).first(zeros_end + 8));
  std::array<std::uint8_t, 32> digest{};
  for (std::size_t i = 0; i < 32; ++i)
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

std::string sha256_hex(std::span<const std::uint8_t> bytes) {
  Sha256 digest;
  digest.update(bytes);
  return hex(digest.finish());
}

std::string sha256_hex(std::string_view bytes) { return sha256_hex(bytes_of(bytes)); }

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace coppice
