#include "core/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/core/thrown.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A file with this header and `data` zero bytes after it.
Bytes file_of(const std::string& header, std::size_t data) {
  Bytes bytes(8 + header.size() + data);
  const auto length = static_cast<std::uint64_t>(header.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string read_error(const Bytes& bytes) {
  return thrown_text<DataError>([&] { read_safetensors(bytes, "file.safetensors"); });
}

// An entry of a header: "name":{"dtype":...,"shape":[...],"data_offsets":[begin,end]}
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(SafetensorsTest, WhatIsWrittenReadsBack) {
  const std::vector<float> weights{1.5F, -2.0F, 0.0F, 1e-40F, 5.0F, 6.0F};
  const Bytes small{1, 2, 3};
  TensorFile file;
  file.metadata = {{"format", "x"}, {"note", "quote \" and \n"}};
  file.tensors = {{"w", "F32", {2, 3}, bytes_of(weights)},
                  {"none", "F32", {0, 7}, {}},
                  {"m", "U8", {3}, small},
                  {"s", "U8", {}, std::span(small).first(1)}};
  const Bytes bytes = write_safetensors(file);
  EXPECT_EQ((bytes[0] + 256U * bytes[1]) % 8, 0U);  // tensors start aligned
  const TensorFile back = read_safetensors(bytes, "file");
  EXPECT_EQ(back.metadata, file.metadata);
  ASSERT_EQ(back.tensors.size(), 4U);
  EXPECT_EQ(floats_of(*back.find("w"), "file"), weights);
  EXPECT_EQ(back.find("w")->shape, (Shape{2, 3}));
  EXPECT_TRUE(std::ranges::equal(back.find("m")->bytes, small));
  EXPECT_TRUE(back.find("s")->shape.empty());
  EXPECT_EQ(back.find("x"), nullptr);
  EXPECT_TRUE(contains(thrown_text<DataError>([&] { floats_of(*back.find("m"), "file"); }),
                       "'m': expected F32, got U8"));
}

TEST(SafetensorsTest, WriterRefusesTensorsThatAreNotWhatTheySay) {
  const Bytes three{1, 2, 3};
  EXPECT_THROW(write_safetensors({{}, {{"a", "U8", {4}, three}}}), Error);
  EXPECT_THROW(write_safetensors({{}, {{"a", "U8", {3}, three}, {"a", "U8", {3}, three}}}), Error);
  EXPECT_THROW(write_safetensors({{}, {{"__metadata__", "U8", {3}, three}}}), Error);
}

TEST(SafetensorsTest, HeaderThatDoesNotFitTheFileIsRefusedBeforeItIsRead) {
  EXPECT_TRUE(contains(read_error({}), "at least 8 bytes, got 0"));
  for (const std::uint64_t length :
       {std::uint64_t{1}, std::uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7}) {
    Bytes bytes(8);
    std::memcpy(bytes.data(), &length, sizeof length);
    EXPECT_TRUE(contains(read_error(bytes), "file.safetensors: not an intact safetensors file"))
        << length;
  }
}

TEST(SafetensorsTest, OffsetsMustCoverTheDataExactly) {
  const std::string a = entry("a", "U8", "[2]", "[0,2]");
  EXPECT_EQ(read_error(file_of("{" + a + "}", 2)), "");
  EXPECT_TRUE(
      contains(read_error(file_of("{" + a + "}", 3)), "expected 2 bytes of tensors, got 3"));
  EXPECT_TRUE(contains(read_error(file_of("{" + a + "}", 1)), "not inside"));
  const auto with_b = [&](const char* offsets) {
    return file_of("{" + a + "," + entry("b", "U8", "[2]", offsets) + "}", 5);
  };
  EXPECT_TRUE(contains(read_error(with_b("[3,5]")), "hole or overlap before tensor 'b'"));
  EXPECT_TRUE(contains(read_error(with_b("[1,3]")), "hole or overlap"));
  EXPECT_TRUE(contains(read_error(with_b("[0,2]")), "hole or overlap"));
  for (const char* bad : {"[-2,0]", "[2,1]", "[4,6]", "[2]", "[2,3,4]", "[0,9223372036854775807]",
                          "[-9223372036854775808,9223372036854775807]",
                          "[9223372036854775806,9223372036854775807]"}) {
    EXPECT_TRUE(contains(read_error(with_b(bad)), "offsets of tensor 'b'")) << bad;
  }
}

TEST(SafetensorsTest, ShapesThatOverflowOrDoNotFitAreRefused) {
  for (const char* shape :
       {"[3]", "[-1,-2]", "[-2]", "[4611686018427387904,4]", "[4294967296,4294967296]",
        "[9223372036854775807,9223372036854775807]", "[1,1,1,1,1,1,1,1,2]", "[0]"}) {
    EXPECT_TRUE(contains(read_error(file_of("{" + entry("a", "U8", shape, "[0,2]") + "}", 2)),
                         "tensor 'a'"))
        << shape;
  }
  EXPECT_TRUE(contains(read_error(file_of("{" + entry("a", "F8", "[2]", "[0,2]") + "}", 2)),
                       "unknown dtype 'F8'"));
}

TEST(SafetensorsTest, HeaderErrorsNameTheFileAndTheTensor) {
  for (const char* header : {R"({"a":1})", R"({"a":{}})", R"({"a":{"dtype":"U8","shape":[2]}})",
                             R"({"a":{"dtype":8,"shape":[2],"data_offsets":[0,2]}})",
                             R"({"a":{"dtype":"U8","shape":["2"],"data_offsets":[0,2]}})",
                             R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2.5]}})"}) {
    const std::string error = read_error(file_of(header, 2));
    EXPECT_TRUE(contains(error, "file.safetensors")) << header << ": " << error;
    EXPECT_TRUE(contains(error, "'a'")) << header << ": " << error;
  }
  for (const char* header :
       {"[]", "1", "{", R"({"__metadata__":[]})", R"({"__metadata__":{"a":1}})"}) {
    EXPECT_TRUE(contains(read_error(file_of(header, 0)), "file.safetensors")) << header;
  }
  EXPECT_EQ(read_error(file_of("{}", 0)), "");
}

TEST(SafetensorsTest, TensorsComeInFileOrderWhateverTheHeadersOrder) {
  const std::string header = "{" + entry("late", "U8", "[1]", "[2,3]") + "," +
                             entry("early", "U8", "[2]", "[0,2]") + "," +
                             entry("empty", "U8", "[0]", "[2,2]") + "}";
  const Bytes bytes = file_of(header, 3);
  const TensorFile file = read_safetensors(bytes, "file");
  ASSERT_EQ(file.tensors.size(), 3U);
  EXPECT_EQ(file.tensors[0].name, "early");
  EXPECT_EQ(file.tensors[1].name, "empty");
  EXPECT_EQ(file.tensors[2].name, "late");
}

}  // namespace
}  // namespace coppice
