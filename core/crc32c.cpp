#include <array>    // for array
#include <bit>      // for endian
#include <cstring>  // for memcpy

#include "core/digest.h"

namespace coppice {
namespace {

static_assert(std::endian::native == std::endian::little, "eight bytes are read as one number");

// Table t holds the checksum of a byte that is followed by t zero bytes, so that eight bytes are
// eight independent loads (Kounavis & Berry 2005, slicing-by-8).
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t t = 1; t < 8; ++t) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[t - 1][byte];
      tables[t][byte] = tables[0][before & 0xFFU] ^ (before >> 8U);
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::uint64_t load_word(const std::uint8_t* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

#if defined(__x86_64__)
// An instruction of SSE4.2 computes just this checksum.
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::span<const std::uint8_t> bytes,
                                                               std::uint32_t crc) {
  std::uint64_t state = ~crc;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) state = __builtin_ia32_crc32di(state, load_word(&bytes[i]));
  for (; i < bytes.size(); ++i)
    state = __builtin_ia32_crc32qi(static_cast<std::uint32_t>(state), bytes[i]);
  return ~static_cast<std::uint32_t>(state);
}
#endif

}  // namespace

std::uint32_t crc32c_by_tables(std::span<const std::uint8_t> bytes, std::uint32_t crc) {
  crc = ~crc;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = load_word(&bytes[i]) ^ crc;
    crc = 0;
    for (std::size_t t = 0; t < 8; ++t) crc ^= kTables[7 - t][(word >> (8 * t)) & 0xFFU];
  }
  for (; i < bytes.size(); ++i) crc = kTables[0][(crc ^ bytes[i]) & 0xFFU] ^ (crc >> 8U);
  return ~crc;
}

std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t crc) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return by_instruction(bytes, crc);
#endif
  return crc32c_by_tables(bytes, crc);
}

}  // namespace coppice
