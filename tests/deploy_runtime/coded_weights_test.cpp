#include "deploy/runtime/coded_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "kernels/code_stream.h"
#include "tests/core/thrown.h"
#include "tests/deploy_runtime/cpk_forge.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

// Weights of a product behind `input` on a grid, with its shape.
struct Product {
  Weights weights;
  ProductShape shape;
};

Product product(Shape input, Node node, int bits, std::uint64_t percent) {
  RandomStream random({.task = bits + static_cast<std::int64_t>(percent)});
  ProgramBuilder build(std::move(input), Grid{0.1F, 3});
  build.add_product(std::move(node), bits, random);
  const Program program = with_zeros(build.take(), percent, random);
  const Inference inference = infer(program);
  return {program.nodes[1].weights, product_shape(program.nodes[1], inference)};
}

std::vector<Product> products(int bits, std::uint64_t percent) {
  return {product({300}, linear(41), bits, percent),
          product({7, 9, 9}, convolution(21, 3), bits, percent),
          product({24, 9, 9}, convolution(24, 3, 1, 1, 24), bits, percent),
          product({12, 9, 9}, convolution(10, 5, 1, 1, 2), bits, percent)};
}

Weights unread(int bits, Layout layout) {
  Weights weights;
  weights.bits = bits;
  weights.layout = layout;
  return weights;
}

TEST(CodedWeightsTest, EveryOrderComesBackFromTheSameStream) {
  for (const int bits : {8, 4}) {
    for (const Product& one : products(bits, 20)) {
      for (const Layout layout :
           {Layout::kRows, Layout::kPanels, Layout::kBlocks, Layout::kDepthwise}) {
        if (!may_lie(one.shape, layout)) continue;
        const Weights weights = laid_out(one.weights, one.shape, layout);
        const std::vector<std::uint8_t> stream = coded_weights(weights, one.shape);
        ASSERT_FALSE(stream.empty()) << bits << ' ' << static_cast<int>(layout);
        EXPECT_LE(100 * static_cast<std::int64_t>(stream.size()), 95 * deflated_bytes(weights));
        Weights back = unread(bits, layout);
        back.scales = weights.scales;
        decode_weights(stream, one.shape, back);
        EXPECT_EQ(back, weights) << bits << ' ' << static_cast<int>(layout);
      }
    }
  }
}

TEST(CodedWeightsTest, CodesThatUseAllTheirBitsStayAsTheyAre) {
  for (const int bits : {8, 4}) {
    for (const Product& one : products(bits, 100))
      EXPECT_TRUE(coded_weights(one.weights, one.shape).empty()) << bits;
  }
}

// Blocks that hold nothing are no part of the stream, and long runs of zeros are deflate's.
TEST(CodedWeightsTest, WhatWouldNotComeBackIsNotCoded) {
  Product one = product({300}, linear(41), 8, 20);
  Weights blocks = laid_out(one.weights, one.shape, Layout::kBlocks);
  ASSERT_FALSE(coded_weights(blocks, one.shape).empty());
  std::fill_n(blocks.codes.begin(), 16, std::int8_t{0});
  EXPECT_TRUE(coded_weights(blocks, one.shape).empty());
  std::ranges::fill(one.weights.codes, std::int8_t{0});
  EXPECT_TRUE(coded_weights(one.weights, one.shape).empty());
}

std::string decode_error(std::span<const std::uint8_t> stream, const ProductShape& shape,
                         Weights weights) {
  return model_error([&] { decode_weights(stream, shape, weights); });
}

TEST(CodedWeightsTest, StreamsOfOtherShapesBitsOrOrdersAreRefused) {
  const Product one = product({300}, linear(41), 8, 20);
  const std::vector<std::uint8_t> stream = coded_weights(one.weights, one.shape);
  const Weights rows = unread(8, Layout::kRows);
  EXPECT_EQ(decode_error(stream, one.shape, rows), "");
  const std::span<const std::uint8_t> bytes(stream);
  EXPECT_TRUE(contains(decode_error(bytes.first(stream.size() - 1), one.shape, rows),
                       "are not the coded form of 12300 codes of 8 bits"));
  ProductShape wider = one.shape;
  wider.depth = 301;
  EXPECT_TRUE(contains(decode_error(stream, wider, rows), "are not the coded form"));
  wider.depth = 1 << 24;
  EXPECT_TRUE(contains(decode_error(stream, wider, rows), "each stands for at most 1032"));
  EXPECT_TRUE(contains(decode_error({}, one.shape, rows), "each stands for at most 1032"));
  EXPECT_TRUE(
      contains(decode_error(stream, one.shape, unread(4, Layout::kRows)), "codes of 4 bits"));
  EXPECT_TRUE(contains(decode_error(stream, one.shape, unread(8, Layout::kDepthwise)),
                       "cannot lie in order 3"));
}

// A linear 4 x 200 of 4 bits, most codes zero, as a body and its stream.
struct Forgery {
  Bytes body;
  Bytes streams;
  std::size_t storage_at = 0;  // of the linear, in the body
};

Forgery forgery() {
  RandomStream random({.task = 2});
  ProgramBuilder build({200}, Grid{0.1F, 0});
  build.add_product(linear(4), 4, random);
  const Bytes file = write_cpk(with_zeros(build.take(), 10, random));
  Forgery out{.body = body_of(file), .streams = streams_of(file)};
  const std::string name = "linear1";
  const auto at = std::search(out.body.begin(), out.body.end(), name.begin(), name.end());
  out.storage_at =
      static_cast<std::size_t>(at - out.body.begin()) + name.size() + sizeof(std::uint32_t);
  return out;
}

std::string read_error(const Forgery& forged) {
  return model_error([&] { read_cpk(stored_file(forged.body, forged.streams), "a.cpk"); });
}

TEST(CodedWeightsTest, ForgedFilesAreRefused) {
  const Forgery whole = forgery();
  EXPECT_EQ(read_error(whole), "");
  ASSERT_EQ(whole.body[whole.storage_at] & 1, 1);
  ASSERT_EQ(u32_at(whole.body, whole.storage_at + 1), whole.streams.size());

  Forgery forged = whole;
  forged.body[whole.storage_at] |= 4;
  EXPECT_TRUE(contains(read_error(forged), "a.cpk: node 1: unknown storage"));
  for (const std::uint32_t length : {0U, 1U, 0xFFFFFFFFU}) {
    forged = whole;
    std::memcpy(forged.body.data() + whole.storage_at + 1, &length, sizeof length);
    EXPECT_NE(read_error(forged), "") << length;
  }
  forged = whole;
  forged.body[whole.storage_at] ^= 1;  // plain codes, then: where there are other bytes
  EXPECT_NE(read_error(forged), "");
  forged = whole;
  const std::vector<std::int8_t> large(800, 8);
  forged.streams.clear();
  kernels::encode_codes(large, 200, forged.streams);
  const auto length = static_cast<std::uint32_t>(forged.streams.size());
  std::memcpy(forged.body.data() + whole.storage_at + 1, &length, sizeof length);
  EXPECT_TRUE(contains(read_error(forged), "are not the coded form of 800 codes of 4 bits"));

  Bytes file = stored_file(whole.body, whole.streams);
  const std::uint32_t all = 0xFFFFFFFFU;
  std::memcpy(file.data() + kCodedAt, &all, sizeof all);
  EXPECT_TRUE(contains(model_error([&] { read_cpk(sealed(file), "a.cpk"); }),
                       "expected 4294967295 bytes of coded weights"));
}

TEST(CodedWeightsTest, BytesOfAFileAreSharedAmongItsNodes) {
  RandomStream random({.task = 3});
  const Program program = in_panels(with_zeros(lenet(4, 16, 120, 84), 20, random));
  const Bytes file = write_cpk(program);
  const CpkBytes bytes = cpk_bytes(program);
  EXPECT_EQ(bytes.file, static_cast<std::int64_t>(file.size()));
  ASSERT_EQ(bytes.nodes.size(), program.nodes.size());
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    EXPECT_EQ(bytes.nodes[i] == 0, program.nodes[i].weights.codes.empty()) << i;
    sum += bytes.nodes[i];
  }
  EXPECT_GT(sum, static_cast<std::int64_t>(streams_of(file).size()));
  EXPECT_LT(sum, bytes.file);
  EXPECT_GT(sum, bytes.file * 9 / 10);
}

}  // namespace
}  // namespace coppice::runtime
