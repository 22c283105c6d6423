#include "kernels/code_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

namespace coppice::kernels {
namespace {

using Codes = std::vector<std::int8_t>;
using Bytes = std::vector<std::uint8_t>;

// A generator of its own: a golden hash stands on what it gives.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::uint64_t below(std::uint64_t end) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (state_ >> 33U) % end;
  }

 private:
  std::uint64_t state_;
};

// Of codes that are not zero, about `percent`; magnitudes fall off towards `largest`.
Codes random_codes(std::size_t count, std::uint64_t percent, int largest, std::uint64_t seed) {
  Numbers numbers(seed);
  Codes codes(count);
  for (std::int8_t& code : codes) {
    if (numbers.below(100) >= percent) continue;
    const auto end = static_cast<std::uint64_t>(largest);
    const auto magnitude = static_cast<int>(1 + std::min(numbers.below(end), numbers.below(end)));
    code = static_cast<std::int8_t>(numbers.below(2) == 0 ? magnitude : -magnitude);
  }
  return codes;
}

Bytes encoded(const Codes& codes, std::int64_t row) {
  Bytes bytes;
  encode_codes(codes, row, bytes);
  return bytes;
}

// What is left where codes are known to be drawn alike, and how often each was.
double entropy_bytes(const Codes& codes) {
  std::map<int, double> counts;
  for (const std::int8_t code : codes) counts[code] += 1.0;
  double bits = 0.0;
  for (const auto& [code, count] : counts)
    bits -= count * std::log2(count / static_cast<double>(codes.size()));
  return bits / 8.0;
}

TEST(CodeStreamTest, CodesOfAnyDensityBitsAndShapeReadBack) {
  std::uint64_t seed = 0;
  for (const int largest : {1, 2, 3, 7, 31, 63, 127}) {
    for (const std::uint64_t percent : {0U, 1U, 10U, 50U, 100U}) {
      for (const std::size_t count : {0U, 1U, 2U, 7U, 150U, 3'000U}) {
        for (const std::int64_t row : {1, 2, 25, 100, 1'000'000'007}) {
          const Codes codes = random_codes(count, percent, largest, ++seed);
          Bytes bytes{0xAB};  // of another stream before this one
          encode_codes(codes, row, bytes);
          ASSERT_EQ(bytes[0], 0xAB);
          bytes.erase(bytes.begin());
          ASSERT_EQ(bytes.size(), coded_bytes(codes, row));
          Codes back(count, 99);
          ASSERT_TRUE(decode_codes(bytes, row, largest, back))
              << largest << ' ' << percent << ' ' << count << ' ' << row;
          ASSERT_EQ(back, codes);
        }
      }
    }
  }
}

TEST(CodeStreamTest, ExtremesReadBack) {
  for (const int code : {127, -127}) {
    const Codes codes(100'000, static_cast<std::int8_t>(code));
    const Bytes bytes = encoded(codes, 100);
    Codes back(codes.size());
    ASSERT_TRUE(decode_codes(bytes, 100, 127, back));
    EXPECT_EQ(back, codes);
    EXPECT_LT(bytes.size(), codes.size() / 100);
  }
  EXPECT_EQ(encoded(Codes(1'000'000), 100), Bytes{0});
}

TEST(CodeStreamTest, SparseCodesTakeThreePercentMoreThanTheirEntropy) {
  for (const int largest : {1, 3, 7, 31, 127}) {
    for (const std::uint64_t percent : {10U, 20U, 30U, 50U, 75U, 100U}) {
      const Codes codes = random_codes(44'000, percent, largest, percent);
      const auto bytes = static_cast<double>(coded_bytes(codes, 400));
      EXPECT_LT(bytes, 1.03 * entropy_bytes(codes)) << largest << ' ' << percent;
      EXPECT_GT(bytes, 0.99 * entropy_bytes(codes)) << "too good to be true";
    }
  }
}

TEST(CodeStreamTest, SmallTensorsTakeAFewBytesMoreThanTheirEntropy) {
  for (const int largest : {1, 3, 7}) {
    for (const std::uint64_t percent : {10U, 20U, 50U, 100U}) {
      const Codes codes = random_codes(150, percent, largest, 3 + percent);
      const auto bytes = static_cast<double>(coded_bytes(codes, 25));
      EXPECT_LT(bytes, entropy_bytes(codes) + 9.0) << largest << ' ' << percent;
    }
  }
}

// Zeros that stand together cost less than as many anywhere.
TEST(CodeStreamTest, ZerosInBlocksAndColumnsAreSeen) {
  constexpr std::size_t kRow = 96;
  const Codes dense = random_codes(kRow * 96, 100, 7, 1);
  Numbers numbers(5);
  Codes kept(dense.size());  // blocks of four rows and four columns, one in four
  for (std::size_t row = 0; row < 96; row += 4) {
    for (std::size_t column = 0; column < kRow; column += 4) {
      if (numbers.below(4) != 0) continue;
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t at = (row + i / 4) * kRow + column + i % 4;
        kept[at] = dense[at];
      }
    }
  }
  const auto percent = static_cast<std::uint64_t>(
      100 * (kept.size() - static_cast<std::size_t>(std::ranges::count(kept, 0))) / kept.size());
  const Codes anywhere = random_codes(dense.size(), percent, 7, 2);
  EXPECT_LT(coded_bytes(kept, kRow) * 10, coded_bytes(anywhere, kRow) * 9);

  Codes columns = dense;  // of nine only two hold weights
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i % kRow % 9 > 1) columns[i] = 0;
  }
  EXPECT_LT(coded_bytes(columns, kRow) * 4, coded_bytes(columns, 1) * 3);
}

// A stream is what the encoder writes: whatever else reads is refused.
void expect_refused_or_canonical(const Bytes& bytes, std::int64_t row, int largest, Codes& room) {
  if (decode_codes(bytes, row, largest, room)) {
    ASSERT_EQ(encoded(room, row), bytes);
  }
}

TEST(CodeStreamTest, CutAndFollowedStreamsAreRefused) {
  for (const int largest : {1, 7, 127}) {
    const Codes codes = random_codes(500, 30, largest, 7);
    const Bytes whole = encoded(codes, 25);
    Codes room(codes.size());
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      expect_refused_or_canonical(cut, 25, largest, room);
    }
    EXPECT_FALSE(decode_codes({}, 25, largest, room));
    for (const std::size_t more : {1U, 2U, 3U, 4U, 100U}) {
      for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{255}}) {
        Bytes longer = whole;
        longer.resize(whole.size() + more, value);
        EXPECT_FALSE(decode_codes(longer, 25, largest, room)) << more;
      }
    }
    Codes other(codes.size() + 200);
    EXPECT_FALSE(decode_codes(whole, 25, largest, other));
    EXPECT_FALSE(decode_codes(Bytes{0, 0}, 25, largest, room));
    EXPECT_TRUE(decode_codes(Bytes{0}, 25, largest, room));
  }
}

TEST(CodeStreamTest, ChangedStreamsAreRefusedOrWhatTheEncoderWrites) {
  Numbers numbers(11);
  const Codes codes = random_codes(300, 40, 7, 9);
  const Bytes whole = encoded(codes, 25);
  Codes room(codes.size());
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    Bytes changed = whole;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
    expect_refused_or_canonical(changed, 25, 127, room);
  }
  int accepted = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    Bytes noise(numbers.below(12));
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(numbers.below(256));
    if (!noise.empty()) noise[0] = static_cast<std::uint8_t>(1 + numbers.below(127));
    Codes few(numbers.below(9));
    expect_refused_or_canonical(noise, 3, 127, few);
    accepted += decode_codes(noise, 3, 127, few) ? 1 : 0;
  }
  EXPECT_GT(accepted, 0);
}

TEST(CodeStreamTest, LargerCodesThanAreAllowedAreRefused) {
  const Codes codes = random_codes(200, 60, 8, 4);
  ASSERT_TRUE(std::ranges::any_of(codes, [](std::int8_t code) { return std::abs(code) == 8; }));
  Bytes bytes = encoded(codes, 20);
  Codes room(codes.size());
  EXPECT_TRUE(decode_codes(bytes, 20, 8, room));
  EXPECT_FALSE(decode_codes(bytes, 20, 7, room));
  for (const int stated : {9, 15, 16, 127, 128, 255}) {
    bytes[0] = static_cast<std::uint8_t>(stated);  // no code is as large
    EXPECT_FALSE(decode_codes(bytes, 20, 127, room)) << stated;
  }
}

TEST(CodeStreamTest, TheBytesAreTheSameEverywhere) {
  Bytes bytes;
  for (const int largest : {1, 7, 127}) {
    for (const std::uint64_t percent : {5U, 60U}) {
      encode_codes(random_codes(2'000, percent, largest, 21), 50, bytes);
      encode_codes(random_codes(900, percent, largest, 22), 90, bytes);
    }
  }
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211U;
  EXPECT_EQ(bytes.size(), 4'357U);
  EXPECT_EQ(hash, 5932503271070369885U);
}

}  // namespace
}  // namespace coppice::kernels
