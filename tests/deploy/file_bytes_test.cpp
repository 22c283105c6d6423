#include "deploy/file_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "deploy/lower.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "tests/deploy/zoo_models.h"

namespace coppice {
namespace {

// LeNet-5 of which the largest fifth of the weights is kept; its five weights have `bits`.
Checkpoint sparse_lenet(const std::vector<int>& bits) {
  Checkpoint checkpoint = checkpoint_of(zoo("lenet5", {1, 28, 28}));
  checkpoint.mask = Mask(checkpoint.graph.parameter_count());
  for (const std::string& name : quantized_parameters(checkpoint.graph)) {
    const auto index = static_cast<std::size_t>(checkpoint.graph.parameter_named(name));
    const ParameterSpec& parameter = checkpoint.graph.parameters()[index];
    const auto first = checkpoint.parameters.begin() + parameter.offset;
    std::vector<float> magnitudes;
    std::transform(first, first + parameter.size(), std::back_inserter(magnitudes),
                   [](float value) { return std::abs(value); });
    const auto kept = magnitudes.begin() + parameter.size() * 4 / 5;
    std::ranges::nth_element(magnitudes, kept);
    for (std::int64_t i = 0; i < parameter.size(); ++i) {
      if (std::abs(first[i]) < *kept) checkpoint.mask->set(parameter.offset + i, false);
    }
  }
  checkpoint.mask->apply(checkpoint.parameters);
  quantize(checkpoint, random_samples(checkpoint.graph, 4), 8);
  checkpoint.plan.weights = weight_grids(checkpoint.graph, checkpoint.parameters, bits);
  return checkpoint;
}

TEST(FileBytesTest, TheFileIsCountedExactly) {
  for (const std::vector<int>& bits : {std::vector{8, 8, 8, 8, 8}, std::vector{8, 6, 2, 3, 4}}) {
    const Checkpoint checkpoint = sparse_lenet(bits);
    const FileBytes bytes = file_bytes(checkpoint);
    const std::vector<std::uint8_t> file = runtime::write_cpk(lower(checkpoint));
    EXPECT_EQ(bytes.file, static_cast<std::int64_t>(file.size()));
    ASSERT_EQ(bytes.weights.size(), bits.size());
    std::int64_t coded = 0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
      EXPECT_EQ(bytes.weights[i].bits, bits[i]);
      coded += bytes.weights[i].bytes;
    }
    // Beside them: scales and biases of 236 channels, names, digests.
    EXPECT_GT(bytes.file, coded);
    EXPECT_LT(bytes.file, coded + 236 * 4 + 500);
  }
}

TEST(FileBytesTest, FewerBitsAndMoreZerosTakeFewerBytes) {
  std::int64_t before = 44'426;
  for (const int bits : {8, 6, 4, 3, 2}) {
    const std::int64_t file = file_bytes(sparse_lenet(std::vector(5, bits))).file;
    EXPECT_LT(file, before) << bits;
    before = file;
  }
  EXPECT_LT(before, 7'000);
}

// Bits of every layer its own: the file gives back the program, and what runs it the same codes.
TEST(FileBytesTest, MixedBitsSurviveTheFileAndRun) {
  const Checkpoint checkpoint = sparse_lenet({8, 6, 2, 3, 4});
  const runtime::Program program = lower(checkpoint);
  const runtime::Program read = runtime::read_cpk(runtime::write_cpk(program), "file");
  EXPECT_EQ(read, program);
  const std::vector<float> samples = random_samples(checkpoint.graph, 4);
  const std::vector<float> expected =
      make_executor("auto", checkpoint.graph)
          ->infer({.parameters = checkpoint.parameters, .quant = &checkpoint.plan}, samples);
  runtime::Engine engine(read);
  const auto [low, high] = std::ranges::minmax(expected);
  std::vector<float> logits(10);
  for (std::size_t i = 0; i < 4; ++i) {
    engine.run(std::span(samples).subspan(i * 784, 784), logits);
    for (std::size_t k = 0; k < 10; ++k)
      EXPECT_NEAR(logits[k], expected[i * 10 + k], 0.02F * (high - low));
  }
}

}  // namespace
}  // namespace coppice
