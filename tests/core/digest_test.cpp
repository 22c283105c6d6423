#include "core/digest.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/text.h"

namespace coppice {
namespace {

// n bytes that differ from length to length.
std::string pattern(int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) bytes += static_cast<char>(static_cast<unsigned char>(i * 7 + n));
  return bytes;
}

TEST(DigestTest, Sha256AgreesWithFips180) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// The SHA-256 of all digests of lengths 0..199 joined, as Python's hashlib has it: every way in
// which a message can end inside, at and across a block.
TEST(DigestTest, EveryLengthAroundTheBlocksAgreesWithHashlib) {
  std::string sha256s;
  for (int n = 0; n < 200; ++n) {
    sha256s += sha256_hex(pattern(n));
  }
  EXPECT_EQ(sha256_hex(sha256s),
            "b8f5d54cfd1cbbcae2003d1365d9fab7e5bc61813fa3486ee6a6a6bf38db4745");
}

// The processor's instructions, where there are some, against the loop.
TEST(DigestTest, Sha256IsTheSameByInstructionAndByLoop) {
  for (int n = 0; n < 20; ++n) {
    const std::string message = pattern(n) + std::string(static_cast<std::size_t>(64 - n), '!');
    std::array<std::uint32_t, 8> state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    sha256_compress(state, bytes_of(message).data());
    std::string padding(64, '\0');
    padding[0] = '\x80';
    padding[62] = '\x02';  // 512 bits
    sha256_compress(state, bytes_of(padding).data());
    std::string expected;
    for (const std::uint32_t word : state) {
      const std::array<std::uint8_t, 4> bytes{
          static_cast<std::uint8_t>(word >> 24U), static_cast<std::uint8_t>(word >> 16U),
          static_cast<std::uint8_t>(word >> 8U), static_cast<std::uint8_t>(word)};
      expected += hex(bytes);
    }
    EXPECT_EQ(sha256_hex(message), expected);
  }
}

TEST(DigestTest, Sha256DoesNotDependOnHowTheBytesAreSplit) {
  const std::string whole = pattern(190);
  for (std::size_t first = 0; first <= whole.size(); first += 9) {
    for (std::size_t second = first; second <= whole.size(); second += 13) {
      Sha256 digest;
      digest.update(std::string_view(whole).substr(0, first));
      digest.update(std::string_view(whole).substr(first, second - first));
      digest.update(std::string_view(whole).substr(second));
      ASSERT_EQ(hex(digest.finish()), sha256_hex(whole)) << first << ' ' << second;
    }
  }
}

TEST(DigestTest, Crc32cAgreesWithRfc3720) {
  std::vector<std::uint8_t> ascending(32);
  std::iota(ascending.begin(), ascending.end(), std::uint8_t{0});
  const std::vector<std::uint8_t> descending(ascending.rbegin(), ascending.rend());
  EXPECT_EQ(crc32c(std::vector<std::uint8_t>(32, 0x00)), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::vector<std::uint8_t>(32, 0xFF)), 0x62A8AB43U);
  EXPECT_EQ(crc32c(ascending), 0x46DD794EU);
  EXPECT_EQ(crc32c(descending), 0x113FDB5CU);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(DigestTest, Crc32cIsTheSameByInstructionAndByTables) {
  EXPECT_EQ(crc32c_by_tables(bytes_of("123456789")), 0xE3069283U);
  const std::string whole = pattern(1100);
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t length = 0; length < 70; ++length) {
      const auto bytes = bytes_of(std::string_view(whole).substr(begin, length));
      ASSERT_EQ(crc32c_by_tables(bytes, 7), crc32c(bytes, 7)) << begin << ' ' << length;
    }
  }
  EXPECT_EQ(crc32c_by_tables(bytes_of(whole)), crc32c(bytes_of(whole)));
}

TEST(DigestTest, Crc32cContinuesWhereItStopped) {
  const std::string whole = pattern(77);
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    const std::uint32_t first = crc32c(bytes_of(std::string_view(whole).substr(0, cut)));
    EXPECT_EQ(crc32c(bytes_of(std::string_view(whole).substr(cut)), first),
              crc32c(bytes_of(whole)));
  }
}

}  // namespace
}  // namespace coppice
