// What to_onnx() writes, from_onnx() reads: the same network, and the same integers in its .cpk.
#include <gtest/gtest.h>

#include <algorithm>

#include "algorithms/quantize.h"
#include "core/parameter_arena.h"
#include "deploy/lower.h"
#include "deploy/onnx/export.h"
#include "deploy/onnx/import.h"
#include "models/zoo.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

constexpr std::int64_t kVocabulary = 13;

class OnnxRoundTripTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!has_onnx()) GTEST_SKIP() << "this build has no ONNX";
  }
};

std::vector<std::string> zoo_names() {
  std::vector<std::string> names;
  for (const ModelInfo& info : known_models()) names.emplace_back(info.name);
  return names;
}

Checkpoint zoo_checkpoint(const std::string& name) {
  ModelConfig config;
  config.name = name;
  if (name == "resnet20") config.width = 8;
  if (name == "char_transformer") {
    config.width = 16;
    config.heads = 2;
  }
  ModelRequest request{.input = numbers({1, 16, 16})};
  if (name == "char_transformer")
    request = {.input = ids(12, 12), .classes = kVocabulary, .vocabulary = kVocabulary};
  Checkpoint out;
  out.graph = make_model(config, request);
  const ParameterArena arena = initial_parameters(out.graph, 3);
  out.parameters.assign(arena.values().begin(), arena.values().end());
  out.round = 4;
  out.mask_epoch = 2;
  out.provenance["seed"] = "3";
  return out;
}

// A plan of `bits` with grids that differ from node to node.
void quantize(Checkpoint& checkpoint, int bits) {
  checkpoint.plan.weights = weight_grids(checkpoint.graph, checkpoint.parameters, bits);
  for (const std::string& node : quantized_nodes(checkpoint.graph)) {
    const auto index = static_cast<float>(checkpoint.plan.activations.size());
    checkpoint.plan.activations.push_back(
        {node, 0.01F + 0.003F * index, static_cast<int>(index) * 7 % 256});
  }
}

Checkpoint there_and_back(const Checkpoint& checkpoint) {
  return from_onnx(to_onnx(checkpoint, {.version = "1", .metadata = {}}), "test.onnx");
}

// A stride of 0 stands for the operation's own, which the file spells out.
Graph with_strides(const Graph& graph) {
  std::vector<LayerSpec> layers = graph.layers();
  for (LayerSpec& layer : layers) {
    const bool is_pool = layer.op == "max_pool2d" || layer.op == "avg_pool2d";
    if (layer.op != "conv2d" && !is_pool) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      if (layer.attributes.stride[i] == 0)
        layer.attributes.stride[i] = is_pool ? layer.attributes.kernel[i] : 1;
    }
  }
  return Graph::build(graph.input(), std::move(layers));
}

void expect_equal_graphs(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(with_strides(a.graph).to_json(), with_strides(b.graph).to_json());
}

// The programs of both, but for the hash of the fp32 weights, which the integers do not have.
void expect_equal_programs(const Checkpoint& a, const Checkpoint& b) {
  runtime::Program first = lower(a);
  runtime::Program second = lower(b);
  second.model_sha256 = first.model_sha256;
  EXPECT_TRUE(first == second);
}

TEST_P(OnnxRoundTripTest, Fp32ModelIsTheSame) {
  const Checkpoint original = zoo_checkpoint(GetParam());
  const Checkpoint read = there_and_back(original);
  expect_equal_graphs(read, original);
  EXPECT_TRUE(read.parameters == original.parameters);
  EXPECT_EQ(model_sha256(there_and_back(read)), model_sha256(read));
  EXPECT_EQ(read.round, 4);
  EXPECT_EQ(read.mask_epoch, 2);
  EXPECT_EQ(read.provenance, original.provenance);
}

TEST_P(OnnxRoundTripTest, IntegersAreTheSame) {
  for (const int bits : {8, 7, 6, 4, 3, 2}) {
    Checkpoint original = zoo_checkpoint(GetParam());
    quantize(original, bits);
    const Checkpoint read = there_and_back(original);
    expect_equal_graphs(read, original);
    EXPECT_EQ(to_json(read.plan), to_json(original.plan));
    EXPECT_EQ(model_sha256(there_and_back(read)), model_sha256(read));
    const bool runs = std::ranges::all_of(original.graph.nodes(), [](const Node& node) {
      return op_info(node.op).runtime == Capability::yes;
    });
    if (runs) expect_equal_programs(original, read);
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, OnnxRoundTripTest, testing::ValuesIn(zoo_names()),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace coppice
