#include "deploy/runtime/body.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/core/thrown.h"
#include "tests/deploy_runtime/cpk_forge.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

constexpr auto kStored = BodyEncoding::kStored;
constexpr auto kDeflate = BodyEncoding::kDeflate;

Bytes decoded(const EncodedBody& body, std::size_t length) {
  return decode_body(static_cast<std::uint8_t>(body.encoding), length, body.bytes);
}

std::string error_of(BodyEncoding encoding, std::size_t length, const Bytes& bytes) {
  return model_error([&] { decode_body(static_cast<std::uint8_t>(encoding), length, bytes); });
}

// Bytes below `values`, which is at most 256.
Bytes random_bytes(std::size_t count, std::uint64_t values) {
  RandomStream random({.task = 3});
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next_below(values));
  return bytes;
}

TEST(BodyTest, TheShorterFormIsTaken) {
  for (const std::size_t size : {0U, 1U, 10U, 1000U, 100'000U}) {
    const Bytes noise = random_bytes(size, 256);
    const EncodedBody as_is = encode_body(noise);
    EXPECT_EQ(as_is.encoding, kStored) << size;
    EXPECT_EQ(as_is.bytes, noise);
    EXPECT_EQ(decoded(as_is, size), noise);
  }
  for (const std::size_t size : {100U, 1000U, 100'000U}) {
    const Bytes few = random_bytes(size, 16);
    const EncodedBody half = encode_body(few);
    EXPECT_EQ(half.encoding, kDeflate) << size;
    EXPECT_LT(half.bytes.size(), size * 9 / 10);
    EXPECT_EQ(decoded(half, size), few);
    EXPECT_EQ(encode_body(few).bytes, half.bytes);
  }
}

// A body of zeros comes closest to what deflate can expand to.
TEST(BodyTest, LongRunsReadBack) {
  const Bytes zeros(5'000'000);
  const EncodedBody body = encode_body(zeros);
  EXPECT_LT(body.bytes.size(), zeros.size() / 1000);
  EXPECT_EQ(decoded(body, zeros.size()), zeros);
}

TEST(BodyTest, WrongLengthsAreRefusedWithoutMemoryForThem) {
  const Bytes plain = random_bytes(1000, 16);
  const Bytes stream = encode_body(plain).bytes;
  const std::size_t most = 1032 * stream.size();
  EXPECT_TRUE(contains(error_of(kDeflate, 1001, stream), "expected 1001 bytes, got 1000"));
  EXPECT_TRUE(contains(error_of(kDeflate, most, stream), "got 1000"));
  EXPECT_TRUE(contains(error_of(kDeflate, 999, stream), "does not end at 999 bytes"));
  EXPECT_TRUE(contains(error_of(kDeflate, stream.size() + 1, stream), "does not end at"));
  for (const std::size_t length : {std::size_t{0}, stream.size(), most + 1, kMaxBodyBytes})
    EXPECT_TRUE(contains(error_of(kDeflate, length, stream), "at most")) << length;
  for (const auto encoding : {kStored, kDeflate})
    EXPECT_TRUE(contains(error_of(encoding, 0xFFFFFFFFU, stream), "expected at most 1073741824"));
  EXPECT_TRUE(contains(error_of(kStored, 999, plain), "expected 999 bytes, got 1000"));
  EXPECT_TRUE(contains(error_of(kStored, 1001, plain), "expected 1001 bytes, got 1000"));
  EXPECT_TRUE(contains(error_of(kDeflate, 1, {}), "at most 0"));
}

TEST(BodyTest, StreamsThatAreCutDamagedOrFollowedAreRefused) {
  const Bytes plain = random_bytes(300, 16);
  const Bytes stream = encode_body(plain).bytes;
  for (std::size_t n = 0; n < stream.size(); ++n) {
    const Bytes cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_NE(error_of(kDeflate, 300, cut), "") << n;
  }
  Bytes longer = stream;
  longer.push_back(0);
  EXPECT_TRUE(contains(error_of(kDeflate, 300, longer), "1 bytes after the deflate stream"));
  Bytes unknown_block = stream;
  unknown_block[0] = 7;  // of the last kind, which does not exist
  EXPECT_TRUE(contains(error_of(kDeflate, 300, unknown_block), "invalid block type"));
  EXPECT_TRUE(contains(error_of(BodyEncoding{2}, 300, stream), "expected encoding 0 or 1, got 2"));
}

}  // namespace
}  // namespace coppice::runtime
