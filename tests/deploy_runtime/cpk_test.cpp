#include "deploy/runtime/cpk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/digest.h"
#include "core/text.h"
#include "deploy/runtime/sha256.h"
#include "tests/core/thrown.h"
#include "tests/deploy_runtime/cpk_forge.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

std::string read_error(const Bytes& bytes) {
  return model_error([&] { read_cpk(bytes, "a.cpk"); });
}

TEST(Sha256Test, IsTheOneOfCore) {
  for (const std::size_t size : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 128U, 1000U}) {
    const Bytes bytes(size, 0x5A);
    EXPECT_EQ(hex(sha256(bytes)), sha256_hex(bytes)) << size;
  }
}

// Its weights in rows, as the engine reads them, and in blocks of which three in four are empty.
std::vector<Program> in_all_orders(const Program& program) {
  RandomStream random({.task = 14});
  return {program, in_panels(program), in_blocks(with_empty_blocks(program, random))};
}

TEST(CpkTest, WhatIsWrittenReadsBack) {
  for (const int bits : {8, 4, 32}) {
    Program program = lenet(bits, 16, 120, 84);
    program.properties = {{"seed", "7"}, {"note", std::string(300, 'x')}};
    program.model_sha256.fill(0xAB);
    const Bytes bytes = write_cpk(program);
    EXPECT_EQ(read_cpk(bytes, "file"), program) << bits;
    EXPECT_EQ(write_cpk(read_cpk(bytes, "file")), bytes);
  }
  for (std::int64_t seed = 0; seed < 40; ++seed) {
    for (const Program& program : in_all_orders(random_program(seed))) {
      const Bytes bytes = write_cpk(program);
      ASSERT_EQ(read_cpk(bytes, "file"), program) << seed;
      ASSERT_EQ(write_cpk(program), bytes) << seed;
      ASSERT_EQ(read_cpk(stored_file(body_of(bytes), streams_of(bytes)), "file"), program) << seed;
    }
  }
}

TEST(CpkTest, OrdersOfWeightsAreTheSameWeights) {
  for (const int bits : {8, 4, 32}) {
    const Program program = lenet(bits, 13, 117, 85);
    EXPECT_FALSE(in_panels(program) == program);
    EXPECT_EQ(in_rows(in_panels(program)), program) << bits;
    EXPECT_EQ(in_rows(in_blocks(program)), program) << bits;
    EXPECT_EQ(in_blocks(in_panels(program)), in_blocks(program)) << bits;
  }
  for (std::int64_t seed = 0; seed < 40; ++seed) {
    const Program program = random_program(seed);
    ASSERT_EQ(in_rows(in_panels(program)), program) << seed;
    ASSERT_EQ(in_rows(in_blocks(program)), program) << seed;
  }
}

TEST(CpkTest, OrdersThatAProductCannotHaveAreRefused) {
  using Change = void (*)(Weights&);
  const std::pair<Change, const char*> changes[] = {
      {[](Weights& w) { w.layout = Layout::kDepthwise; }, "cannot lie in order 3"},
      {[](Weights& w) { w.codes.pop_back(); }, "weights"},
      {[](Weights& w) { w.blocks[1] = w.blocks[0]; }, "out of range or of order"},
      {[](Weights& w) { w.blocks.back() = 65535; }, "out of range or of order"},
      {[](Weights& w) { w.block_counts.pop_back(); }, "counts of blocks"},
      {[](Weights& w) { ++w.block_counts[0]; }, "counts of blocks"},
      {[](Weights& w) { w.codes[3] = 1; }, "is not zero"},  // of one input channel, four a block
  };
  for (const auto& [change, says] : changes) {
    Program program = in_blocks(lenet(8, 16, 120, 84));
    change(program.nodes[2].weights);
    const std::string error = model_error([&] { write_cpk(program); });
    EXPECT_TRUE(contains(error, says)) << says << ": " << error;
  }
}

TEST(CpkTest, TheBodyIsDeflatedWhereThatIsShorter) {
  Program program = lenet(32, 10, 96, 108);
  const Bytes values = write_cpk(program);
  EXPECT_EQ(values[kEncodingAt], 1);
  EXPECT_EQ(stated_length(values), body_bytes(program));
  EXPECT_LT(static_cast<std::int64_t>(values.size()), body_bytes(program) * 19 / 20);

  ProgramBuilder build({1});
  RandomStream random({.task = 13});
  build.add_product(linear(1), 32, random);
  program = build.take();
  program.properties = {{"noise", std::string(5'000, ' ')}};
  for (char& c : program.properties[0].second) c = static_cast<char>(random.next_u32() & 0xFFU);
  const Bytes noise = write_cpk(program);
  EXPECT_EQ(noise[kEncodingAt], 0);
  EXPECT_EQ(static_cast<std::int64_t>(noise.size()), body_bytes(program) + 47);
  EXPECT_EQ(read_cpk(noise, "file"), program);
}

TEST(CpkTest, ParameterBytesAreThoseOfTheFile) {
  Node node;
  EXPECT_EQ(parameter_bytes(node), 0);
  node.weights = {.bits = 4, .values = {}, .codes = {1, 2, 3}, .scales = {0x1.01p0F}};
  node.bias_codes = {7};
  EXPECT_EQ(parameter_bytes(node), 2 + 2 + 2);
  node.bias_codes = {70'000};
  EXPECT_EQ(parameter_bytes(node), 2 + 2 + 4);
  node.weights = {.bits = 8, .values = {}, .codes = {1, 2, 3}, .scales = {0.1F}};  // not short
  EXPECT_EQ(parameter_bytes(node), 3 + 4 + 4);
  node.weights = {.bits = 32, .values = {1.0F, 2.0F}, .codes = {}, .scales = {}};
  node.bias_codes = {};
  node.bias = {1.0F};
  EXPECT_EQ(parameter_bytes(node), 8 + 4);
}

TEST(CpkTest, EveryOpReadsBack) {
  ProgramBuilder build({2, 4, 4});
  build.add(pool(Op::avg_pool2d, 3, 1, 1));
  Node batch = group_norm(0, 4);  // four values a channel of two
  batch.op = Op::batch_norm;
  const auto image = build.add(batch);
  const auto means = build.add(Op::global_avg_pool, Grid{0.5F, 255});
  build.add(Op::channel_scale, std::nullopt, {image, means});
  build.add(Op::concat, std::nullopt, {image, image});
  build.add(Op::flatten);
  Node layer = group_norm(0, 64);
  layer.op = Op::layer_norm;
  build.add(layer);
  Node slice;
  slice.op = Op::slice;
  slice.begin = 3;
  slice.length = 61;
  build.add(slice);
  Node leaky;
  leaky.op = Op::leaky_relu;
  leaky.slope = -0.5F;
  build.add(leaky);
  const Program program = build.take();
  EXPECT_EQ(read_cpk(write_cpk(program), "file"), program);
}

TEST(CpkTest, WideBiasesReadBack) {
  ProgramBuilder build({1}, Grid{1.0F, 0});
  Node node = linear(2);
  node.weights = {.bits = 4, .values = {}, .codes = {7, -7}, .scales = {1.0F, 0.5F}};
  node.bias_codes = {1 << 30, -40'000};
  build.add(node);
  const Program program = build.take();
  EXPECT_EQ(read_cpk(write_cpk(program), "file"), program);
}

// conv 6 and 10, linear 96 and 108 and 10: 230 channels.
TEST(CpkTest, TwentyThousandWeightsTakeLittleMore) {
  const Program program = lenet(8, 10, 96, 108);
  std::size_t channels = 0;
  std::size_t weights = 0;
  for (const Node& node : program.nodes) {
    channels += node.weights.scales.size();
    weights += node.weights.codes.size();
  }
  EXPECT_EQ(channels, 230U);
  EXPECT_LT(write_cpk(program).size(), weights + 1945);
  const Program half = lenet(4, 10, 96, 108);
  EXPECT_LT(write_cpk(half).size(), (weights + 1) / 2 + 1945);
}

TEST(CpkTest, EveryTruncationIsRefusedByName) {
  const Bytes whole = write_cpk(sparse_program(1));
  ASSERT_EQ(whole[kEncodingAt], 1);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_TRUE(contains(read_error(cut), "a.cpk")) << n;
    if (n < 38) continue;  // too short for a digest
    ASSERT_TRUE(contains(read_error(sealed(std::move(cut))), "a.cpk")) << n;
  }
  const Bytes body = body_of(whole);
  const Bytes streams = streams_of(whole);
  ASSERT_FALSE(streams.empty());
  for (std::size_t n = 0; n < body.size(); ++n) {
    const Bytes cut(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_TRUE(contains(read_error(stored_file(cut, streams)), "a.cpk")) << n;
  }
  for (std::size_t n = 0; n < streams.size(); ++n) {
    const Bytes cut(streams.begin(), streams.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_TRUE(contains(read_error(stored_file(body, cut)), "a.cpk")) << n;
  }
}

TEST(CpkTest, NothingMayFollow) {
  const Bytes whole = write_cpk(sparse_program(1));
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_TRUE(contains(read_error(longer), "SHA-256"));
  EXPECT_NE(read_error(sealed(longer)), "");
  Bytes stream(encoded_body(whole).begin(), encoded_body(whole).end());
  stream.push_back(0);
  const Bytes followed =
      file_of(BodyEncoding::kDeflate, stated_length(whole), stream, streams_of(whole));
  EXPECT_TRUE(contains(read_error(followed), "a.cpk: body: 1 bytes after the deflate stream"));
  Bytes body = body_of(whole);
  body.push_back(0);
  EXPECT_TRUE(
      contains(read_error(file_of(body, streams_of(whole))), "1 bytes after the last node"));
  Bytes streams = streams_of(whole);
  streams.push_back(0);
  EXPECT_TRUE(contains(read_error(file_of(body_of(whole), streams)),
                       "1 bytes of coded weights that no node has"));
}

TEST(CpkTest, EveryFlippedBitIsRefused) {
  const Bytes whole = write_cpk(random_program(2));
  RandomStream random({.task = 11});
  for (int trial = 0; trial < 10'000; ++trial) {
    Bytes damaged = whole;
    const std::uint64_t bit = random.next_below(damaged.size() * 8);
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_NE(read_error(damaged), "") << bit;
  }
}

// A forger can make the digest right, and the encoding: what then reads must run. Damaged are
// bodies, which are stored or deflated again, and every fourth time a file.
TEST(CpkTest, SealedDamageIsRefusedOrRuns) {
  std::vector<Bytes> files;
  for (std::int64_t seed = 0; seed < 4; ++seed) {
    for (const Program& program : in_all_orders(random_program(seed)))
      files.push_back(write_cpk(program));
    for (const Program& program : in_all_orders(sparse_program(seed)))
      files.push_back(write_cpk(program));
  }
  RandomStream random({.task = 12});
  const auto damaged = [&](Bytes bytes) {
    for (std::uint64_t flips = 1 + random.next_below(3); flips > 0; --flips)
      bytes[random.next_below(bytes.size())] = static_cast<std::uint8_t>(random.next_u32());
    return bytes;
  };
  const auto forged = [&](const Bytes& file, std::size_t way) {
    if (way == 0) return sealed(damaged(file));
    if (way == 1) return file_of(damaged(body_of(file)), streams_of(file));
    const Bytes streams = streams_of(file);
    if (way == 2 || streams.empty()) return stored_file(damaged(body_of(file)), streams);
    return stored_file(body_of(file), damaged(streams));
  };
  int accepted = 0;
  for (std::size_t trial = 0; trial < 1'200; ++trial) {
    try {
      Program program = read_cpk(forged(files[trial / 4 % files.size()], trial % 4), "file");
      EXPECT_EQ(read_cpk(write_cpk(program), "file"), program);
      if (work_of(program) > 200'000) continue;
      Interpreter interpreter(std::move(program));
      run_once(interpreter, random_sample(interpreter.sample_size(), 1));
      ++accepted;
    } catch (const ModelError&) {
    }
  }
  EXPECT_GT(accepted, 300);  // most of a file is weights
}

// A conv2d of 2^24 channels with a kernel of 2^32 elements, in 60 bytes.
TEST(CpkTest, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  ProgramBuilder build({1, 8, 8});
  RandomStream random({.task = 1});
  build.add_product(convolution(1, 2), 8, random);
  const Bytes whole = body_of(write_cpk(build.take()));
  const Bytes field{1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 2, 0};  // out, groups, kernel
  const auto at = std::search(whole.begin(), whole.end(), field.begin(), field.end());
  ASSERT_NE(at, whole.end());
  const auto with = [&](std::size_t offset, std::uint32_t value, std::size_t bytes) {
    Bytes changed = whole;
    std::memcpy(changed.data() + (at - whole.begin()) + offset, &value, bytes);
    return read_error(file_of(changed));
  };
  EXPECT_TRUE(contains(with(0, 1U << 20U, 4), "more bytes")) << with(0, 1U << 20U, 4);
  EXPECT_NE(with(0, 0xFFFFFFFFU, 4), "");
  EXPECT_NE(with(0, 0, 4), "");
  EXPECT_NE(with(4, 0, 4), "");
  EXPECT_NE(with(8, 0xFFFF, 2), "");
}

TEST(CpkTest, RefusalsSayWhatIsWrong) {
  const Bytes whole = write_cpk(random_program(1));
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    Bytes bytes = whole;
    bytes[at] = value;
    return read_error(bytes);
  };
  EXPECT_TRUE(contains(changed(0, 'X'), "a.cpk: expected a .cpk"));
  EXPECT_TRUE(contains(changed(4, 3), "expected version 4, got 3"));
  EXPECT_TRUE(contains(changed(20, static_cast<std::uint8_t>(whole[20] ^ 1U)), "SHA-256"));
  const Bytes body = body_of(whole);
  EXPECT_TRUE(contains(read_error(file_of(BodyEncoding{2}, 9, body)),
                       "a.cpk: body: expected encoding 0 or 1, got 2"));
  EXPECT_TRUE(contains(read_error(file_of(BodyEncoding::kStored, 0xFFFFFFFFU, body)),
                       "a.cpk: body: expected at most 1073741824 bytes, got 4294967295"));
}

TEST(CpkTest, InvalidProgramsAreNotWritten) {
  using Change = void (*)(Program&);
  const std::pair<Change, const char*> changes[] = {
      {[](Program& p) { p.nodes[3].inputs = {5}; }, "no earlier node"},
      {[](Program& p) { p.nodes[1].grid->scale = 0.0F; }, "grid of scale 0"},
      {[](Program& p) { p.nodes[4].grid = Grid{}; }, "not valid here"},
      {[](Program& p) { p.nodes[2].weights.codes[0] = -128; }, "codes of 8 bits"},
      {[](Program& p) { p.nodes[2].weights.scales[0] = -1.0F; }, "positive scales"},
      {[](Program& p) { p.nodes[2].weights.scales.pop_back(); }, "positive scales"},
      {[](Program& p) { p.nodes[2].bias_codes[0] = INT32_MAX; }, "can pass 32 bits"},
      {[](Program& p) { p.nodes[2].bias = {1.0F}; }, "expected no bias or 6 codes"},
      {[](Program& p) { p.nodes[2].groups = 4; }, "groups"},
      {[](Program& p) {
         p.nodes[4].padding = {2, 2};
       },
       "padding"},
      {[](Program& p) { p.nodes[1].op = Op::input; }, "to be the input"},
      {[](Program& p) {
         p.input.shape = {1, 1 << 20, 1 << 20};
       },
       "out of range"},
      {[](Program& p) { p.nodes.resize(1); }, "at least one node"},
      {[](Program& p) { p.name = std::string(256, 'n'); }, "does not fit 8 bits"},
  };
  for (const auto& [change, says] : changes) {
    Program program = lenet(8, 16, 120, 84);
    change(program);
    const std::string error = model_error([&] { write_cpk(program); });
    EXPECT_TRUE(contains(error, says)) << says << ": " << error;
  }
}

// Of tests/fuzz/cpk_fuzz.cpp, in the folder COPPICE_CPK_CORPUS: small files without their digest,
// and bodies behind their streams and a byte of 0.
TEST(CpkTest, DISABLED_WritesACorpus) {
  const char* folder = std::getenv("COPPICE_CPK_CORPUS");
  ASSERT_NE(folder, nullptr);
  const auto write = [&](const std::string& name, const Bytes& bytes) {
    std::ofstream file(text(folder, '/', name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
  };
  for (std::int64_t seed = 0; seed < 32; ++seed) {
    const Program program = seed % 2 == 0 ? random_program(seed) : sparse_program(seed);
    Bytes bytes = write_cpk(in_all_orders(program)[static_cast<std::size_t>(seed % 3)]);
    const Bytes streams = streams_of(bytes);
    const Bytes body = body_of(bytes);
    bytes.resize(bytes.size() - kSealBytes);
    write(text("file", seed), bytes);
    Bytes parts{0, static_cast<std::uint8_t>(streams.size() & 0xFFU),
                static_cast<std::uint8_t>(streams.size() >> 8U)};
    parts.insert(parts.end(), streams.begin(), streams.end());
    parts.insert(parts.end(), body.begin(), body.end());
    write(text("body", seed), parts);
  }
}

}  // namespace
}  // namespace coppice::runtime
