#include "comm/tls/token.h"

#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "tests/comm_tls/forged.h"

namespace coppice::tls {
namespace {

TokenVerdict verdict(const std::vector<TokenRecord>& records, const std::string& token,
                     std::int64_t now_s = kNow, const std::string& node = "edge-1",
                     const std::string& key = "k") {
  return judge_token(records, token, node, key, now_s).verdict;
}

TEST(TokenTest, Has256BitsThatTheRecordDoesNotShow) {
  std::set<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.insert(make_token("edge-1", kNow, kDay).text);
  EXPECT_EQ(texts.size(), 100U);
  const NewToken token = make_token("edge-1", kNow, kDay);
  EXPECT_EQ(token.text.size(), 64U);
  EXPECT_EQ(token.record.sha256.size(), 64U);
  EXPECT_NE(token.record.sha256, token.text);
  EXPECT_EQ(token.record.expires_s, kNow + kDay);
}

TEST(TokenTest, CountsForItsNodeUntilItEnds) {
  const NewToken first = make_token("edge-1", kNow, kDay);
  const NewToken second = make_token("edge-2", kNow, kDay);
  const std::vector<TokenRecord> records = {first.record, second.record};
  EXPECT_EQ(verdict(records, first.text), TokenVerdict::kGood);
  EXPECT_EQ(judge_token(records, second.text, "edge-2", "k", kNow).found, 1U);
  EXPECT_EQ(verdict(records, second.text), TokenVerdict::kOtherNode);
  EXPECT_EQ(verdict(records, first.text, kNow + kDay - 1), TokenVerdict::kGood);
  EXPECT_EQ(verdict(records, first.text, kNow + kDay), TokenVerdict::kExpired);
}

TEST(TokenTest, IsUsedOnceAndRepeatsForTheSameKeyOnly) {
  NewToken token = make_token("edge-1", kNow, kDay);
  token.record.key = "k";
  const std::vector<TokenRecord> records = {token.record};
  EXPECT_EQ(verdict(records, token.text), TokenVerdict::kRepeated);
  EXPECT_EQ(verdict(records, token.text, kNow + 9 * kDay), TokenVerdict::kRepeated);
  EXPECT_EQ(verdict(records, token.text, kNow, "edge-1", "other"), TokenVerdict::kUsed);
  EXPECT_EQ(verdict(records, token.text, kNow, "edge-2"), TokenVerdict::kOtherNode);
}

TEST(TokenTest, WithdrawnCountsNoMore) {
  NewToken token = make_token("edge-1", kNow, kDay);
  token.record.is_withdrawn = true;
  EXPECT_EQ(verdict({token.record}, token.text), TokenVerdict::kWithdrawn);
}

TEST(TokenTest, EveryChangedDigitAndEveryOtherLengthIsUnknown) {
  const NewToken token = make_token("edge-1", kNow, kDay);
  const std::vector<TokenRecord> records = {token.record};
  for (std::size_t length = 0; length < token.text.size(); ++length)
    EXPECT_EQ(verdict(records, token.text.substr(0, length)), TokenVerdict::kUnknown);
  EXPECT_EQ(verdict(records, token.text + "0"), TokenVerdict::kUnknown);
  for (std::size_t bit = 0; bit < 8 * token.text.size(); ++bit) {
    std::string flipped = token.text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(verdict(records, flipped), TokenVerdict::kUnknown);
  }
  EXPECT_EQ(verdict(records, token.record.sha256), TokenVerdict::kUnknown)
      << "the hash is no token";
}

TEST(TokenTest, WrongUseIsRefused) {
  EXPECT_THROW(make_token("../x", kNow, kDay), ConfigError);
  EXPECT_THROW(make_token("edge-1", kNow, 0), ConfigError);
  EXPECT_THROW(make_token("edge-1", kNow, INT64_MAX), ConfigError);
}

}  // namespace
}  // namespace coppice::tls
