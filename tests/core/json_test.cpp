#include "core/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

std::string parse_error(std::string_view json) {
  return thrown_text<DataError>([&] { Json::parse(json, "file.json"); });
}

Json sample() {
  Json inner;
  inner.set("empty", Json::Object{});
  inner.set("list", Json::Array{1, -2.5, "three", true, Json(), Json::Array{}});
  Json out;
  out.set("text", "quote \" slash \\ tab \t line \n bell \x07 umlaut \xC3\xBC");
  out.set("inner", std::move(inner));
  out.set("big", std::numeric_limits<std::int64_t>::min());
  out.set("small", 5e-324);
  return out;
}

TEST(JsonTest, WhatIsWrittenReadsBackEqual) {
  EXPECT_EQ(Json::parse(sample().dump(), ""), sample());
  EXPECT_EQ(Json::parse(sample().pretty(), ""), sample());
  EXPECT_EQ(sample().dump().find_first_of("\n\t"), std::string::npos);
}

TEST(JsonTest, EveryFiniteNumberReadsBackToItsBits) {
  RandomStream stream({.task = 1});
  std::vector<double> values = {0.1,
                                1e22,
                                1.2345678901234567e19,
                                9007199254740993.0,
                                1e300,
                                std::numeric_limits<double>::max(),
                                1e15 + 0.5};
  for (int i = 0; i < 2000; ++i) {
    const double value =
        std::ldexp(stream.next_normal(), static_cast<int>(stream.next_below(400)) - 200);
    values.push_back(value);
    values.push_back(std::floor(value));
  }
  for (const double value : values) {
    const std::string text = Json(value).dump();
    ASSERT_EQ(Json::parse(text, "").as_number(), value) << text;
  }
}

TEST(JsonTest, NumbersThatAreNotFiniteBecomeNull) {
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    EXPECT_EQ(Json(value).dump(), "null");
}

TEST(JsonTest, EscapesAndSurrogatePairsAreDecoded) {
  EXPECT_EQ(Json::parse(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83D\uDE00")", "").as_text(),
            "\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  for (const char* bad : {R"("\x")", R"("\u12")", R"("\u12G4")", R"("\uD83D")", R"("\uD83Dx")",
                          R"("\uD83D\u0041")", R"("\uDE00")", "\"\n\"", R"("\)", "\"\\u-123\""}) {
    EXPECT_NE(parse_error(bad), "") << bad;
  }
}

TEST(JsonTest, OnlyTheNumbersOfTheGrammarAreNumbers) {
  EXPECT_EQ(Json::parse("-0", "").as_integer(), 0);
  EXPECT_EQ(Json::parse("9223372036854775807", "").as_integer(), INT64_MAX);
  EXPECT_EQ(Json::parse("1E+2", "").as_number(), 100.0);
  for (const char* bad :
       {"01",    "-01",  "00",  "+1",       "-",         ".5",    "5.",
        "1.e3",  "1e",   "1e+", "--1",      "1-2",       "1.2.3", "9223372036854775808",
        "1e999", "0x10", "NaN", "Infinity", "-Infinity", "1_0"}) {
    EXPECT_NE(parse_error(bad), "") << bad;
  }
}

TEST(JsonTest, AnythingButExactlyOneValueIsRefused) {
  for (const char* bad :
       {"", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "1 2", "[1] x",
        "nul", "truefalse", "'a'", "{\"a\":1 \"b\":2}", "[1 2]", "/**/1",
        "\xEF\xBB\xBF"
        "1"}) {
    EXPECT_NE(parse_error(bad), "") << bad;
  }
  EXPECT_NE(parse_error(std::string_view("1\0", 2)), "");
}

TEST(JsonTest, DuplicateKeysAreRefusedHoweverTheyAreSpelt) {
  EXPECT_TRUE(contains(parse_error(R"({"ab":1,"\u0061b":2})"), "twice"));
  EXPECT_NO_THROW(Json::parse(R"({"a":{"a":1},"b":[{"a":1},{"a":1}]})", ""));
}

TEST(JsonTest, NestingIsBoundedSoThatTheStackIs) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_NO_THROW(Json::parse(nested(64), ""));
  EXPECT_TRUE(contains(parse_error(nested(66)), "nesting"));
  EXPECT_TRUE(contains(parse_error(std::string(1'000'000, '[')), "nesting"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(contains(parse_error(objects), "nesting"));
}

TEST(JsonTest, ErrorsNameTheFileAndTheOffset) {
  EXPECT_EQ(parse_error("[1,x]"), "file.json: JSON offset 3: expected a value, got byte 120");
  EXPECT_EQ(parse_error("[1,"), "file.json: JSON offset 3: expected a value, got the end");
}

TEST(JsonTest, EveryTruncationIsRefused) {
  const std::string whole = sample().dump();
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_NE(parse_error(whole.substr(0, n)), "") << n;
}

TEST(JsonTest, FlippedBytesGiveAnErrorOrAValueThatRoundTrips) {
  const std::string whole = sample().dump();
  RandomStream stream({.task = 2});
  for (int i = 0; i < 4000; ++i) {
    std::string damaged = whole;
    for (int flips = 0; flips < 3; ++flips) {
      damaged[stream.next_below(damaged.size())] = static_cast<char>(stream.next_below(256));
    }
    try {
      const Json value = Json::parse(damaged, "");
      ASSERT_EQ(Json::parse(value.dump(), "").dump(), value.dump());
    } catch (const DataError&) {
    }
  }
}

TEST(JsonTest, AccessorsSayWhatTheyExpectedAndGot) {
  const Json value = Json::parse(R"({"n":1,"x":1.5,"list":[1,"a"]})", "");
  EXPECT_EQ(value.at("n").as_number(), 1.0);
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { value.at("x").as_integer(); }),
                       "expected an integer, got a number"));
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { value.at("y"); }), "'y'"));
  EXPECT_TRUE(
      contains(thrown_text<DataError>([&] { value.at("list").as_integers(); }), "got text"));
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { value.at("n").as_object(); }), "an object"));
  EXPECT_EQ(Json(3).find("a"), nullptr);
}

TEST(JsonTest, PrettyKeepsPlainListsOnOneLine) {
  Json value;
  value.set("a", Json::Array{1, 2});
  value.set("b", Json::Array{Json::Object{}});
  EXPECT_EQ(value.pretty(), "{\n  \"a\": [1, 2],\n  \"b\": [\n    {}\n  ]\n}\n");
}

}  // namespace
}  // namespace coppice
