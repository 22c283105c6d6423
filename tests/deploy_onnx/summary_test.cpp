#include "deploy/onnx/summary.h"

#include <gtest/gtest.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/random.h"
#include "deploy/onnx/export.h"
#include "tests/core/thrown.h"
#include "tests/deploy_onnx/small_model.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

class OnnxSummaryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  }
};

// A length-delimited field with a one-byte number and a length below 128.
std::string field(int number, const std::string& content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())} +
         content;
}
std::string number_field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}

// A model of another tool: ir_version 7, the graph, opset 13.
std::string foreign(const std::string& graph) {
  return number_field(1, 7) + field(2, "other") + field(7, graph) + field(8, number_field(2, 13));
}

OnnxSummary read_text(const std::string& bytes) { return read_onnx(bytes_of(bytes), "file"); }

std::string refusal(const std::string& bytes) {
  return thrown_text<DataError>([&] { read_text(bytes); });
}

// Throws anything but DataError: the test fails. A model that passes is ours, or says it is not.
void expect_refused_or_sound(const Bytes& bytes, const OnnxSummary& original) {
  try {
    const OnnxSummary summary = read_onnx(bytes, "damaged");
    if (!summary.is_ours) {
      EXPECT_NE(summary.producer, "coppice");
      return;
    }
    EXPECT_EQ(summary.nodes, original.nodes);
    EXPECT_EQ(summary.initializers, original.initializers);
  } catch (const DataError&) {
  }
}

TEST_F(OnnxSummaryTest, EveryTruncationIsRefused) {
  const Bytes bytes = to_onnx(small_quantized_checkpoint(), {.version = "1", .metadata = {}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(read_onnx(cut, "cut"), DataError) << size << " of " << bytes.size();
  }
  EXPECT_TRUE(read_onnx(bytes, "whole").is_ours);
}

TEST_F(OnnxSummaryTest, FlippedBitsAreRefusedOrLeaveTheGraphAsItWas) {
  const Bytes bytes = to_onnx(small_quantized_checkpoint(), {.version = "1", .metadata = {}});
  const OnnxSummary original = read_onnx(bytes, "whole");
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 1});
  for (int i = 0; i < 10'000; ++i) {
    Bytes damaged = bytes;
    const std::uint64_t bit = stream.next_below(bytes.size() * 8);
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    expect_refused_or_sound(damaged, original);
  }
}

TEST_F(OnnxSummaryTest, ForeignModelIsListedAndNotOurs) {
  const std::string axes = field(1, number_field(1, 5)) + field(1, field(2, "n"));
  const std::string type = field(1, number_field(1, 1) + field(2, axes));
  const std::string graph = field(1, field(3, "first") + field(4, "Relu") + field(7, "com.x")) +
                            field(5, number_field(1, 2) + number_field(1, 3) + number_field(2, 3) +
                                         field(8, "w") + field(9, "123456")) +
                            field(5, field(1, "\x04") + number_field(2, 99) + field(4, "1234")) +
                            field(11, field(1, "x") + field(2, type)) + field(12, field(1, "y"));
  const OnnxSummary summary = read_text(foreign(graph));
  EXPECT_FALSE(summary.is_ours);
  EXPECT_EQ(summary.producer, "other");
  EXPECT_EQ(summary.ir_version, 7);
  EXPECT_EQ(summary.opset, 13);
  EXPECT_EQ(summary.nodes, (std::vector<OnnxNode>{{"first", "Relu", "com.x"}}));
  EXPECT_EQ(summary.initializers,
            (std::vector<OnnxTensor>{{"w", "INT8", {2, 3}, 6}, {"", "99", {4}, 4}}));
  EXPECT_EQ(summary.inputs, (std::vector<OnnxTensor>{{"x", "FLOAT", {5, -1}, 0}}));
  EXPECT_EQ(summary.outputs, (std::vector<OnnxTensor>{{"y", "UNDEFINED", {}, 0}}));
}

TEST_F(OnnxSummaryTest, WhatIsNoModelIsRefused) {
  EXPECT_TRUE(contains(refusal(""), "file: not a sound ONNX file: expected an ONNX model"));
  EXPECT_NE(refusal("plain text, no protobuf"), "");
  EXPECT_TRUE(contains(refusal(number_field(1, 7)), "no graph"));
  EXPECT_TRUE(contains(refusal(foreign("") + field(7, "")), "two graphs"));
  EXPECT_TRUE(contains(refusal(foreign(field(1,
                                             "\x1a\x05"
                                             "ab"))),
                       "damaged NodeProto"));
  EXPECT_TRUE(contains(refusal(foreign(std::string("\x0a\xff\xff\xff\xff\x0f", 6))), "GraphProto"));
  EXPECT_TRUE(contains(refusal(foreign(field(5, field(1, std::string(100, '\1'))))), "64 axes"));
  // Groups in one another, which nothing in ONNX has.
  EXPECT_NE(refusal(foreign("") + std::string(1000, '\x0b')), "");
  EXPECT_TRUE(contains(refusal(foreign(field(1, "\xff"))), "damaged NodeProto"));
}

TEST_F(OnnxSummaryTest, CountsAreBounded) {
  std::string graph;
  for (int i = 0; i < 1'000'001; ++i) graph += std::string("\x0a\x00", 2);  // empty nodes
  std::string length;
  for (std::size_t rest = graph.size(); rest > 0; rest >>= 7U)
    length += static_cast<char>((rest & 127U) | (rest > 127 ? 128U : 0U));
  EXPECT_TRUE(
      contains(refusal(number_field(1, 7) + "\x3a" + length + graph), "more than 1000000 nodes"));
}

TEST_F(OnnxSummaryTest, FileThatSaysItIsOursMustProveIt) {
  EXPECT_TRUE(contains(refusal(number_field(1, 7) + field(2, "coppice") + field(7, "")),
                       "there is no coppice.content_sha256"));
  const std::string entry = field(1, "coppice.content_sha256") + field(2, "00");
  EXPECT_TRUE(contains(refusal(foreign("") + field(14, entry)), "the file says 00"));
}

}  // namespace
}  // namespace coppice
