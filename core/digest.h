#pragma once
// Digests that identify bytes: SHA-256 for models, configs, checkpoints and published data sets,
// CRC-32C for journal records and frames. None of them is used as a secret.

#include <array>        // for array
#include <cstdint>      // for uint8_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice {

// FIPS 180-4. Feed bytes with update(), then finish() once.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::uint8_t> bytes);
  void update(std::string_view bytes);
  std::array<std::uint8_t, 32> finish();

 private:
  void compress(const std::uint8_t* block);

  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, 64> block_{};
  std::uint64_t length_bytes_ = 0;
};

// One block of 64 bytes into `state`, without the processor's instructions for it.
void sha256_compress(std::array<std::uint32_t, 8>& state, const std::uint8_t* block);

std::string sha256_hex(std::span<const std::uint8_t> bytes);
std::string sha256_hex(std::string_view bytes);

// Castagnoli polynomial, reflected, as in iSCSI (RFC 3720); `crc` continues an earlier value.
// The processor computes it where it can (SSE4.2); elsewhere tables do, eight bytes at a time.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t crc = 0);
std::uint32_t crc32c_by_tables(std::span<const std::uint8_t> bytes, std::uint32_t crc = 0);

// The bytes of a text.
std::span<const std::uint8_t> bytes_of(std::string_view text);

}  // namespace coppice
