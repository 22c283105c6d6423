#include "models/zoo.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/parameter_arena.h"
#include "models/executor.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

ModelConfig named(std::string name) {
  ModelConfig config;
  config.name = std::move(name);
  return config;
}

ModelRequest images(std::int64_t channels, std::int64_t size) {
  return {.input = numbers({channels, size, size})};
}

ModelRequest characters() { return {.input = ids(16, 16), .classes = 30, .vocabulary = 30}; }

ModelRequest request_for(std::string_view name) {
  return name == "char_transformer" ? characters() : images(1, 28);
}

std::string error_of(const ModelConfig& config, const ModelRequest& request) {
  try {
    make_model(config, request);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

TEST(ZooTest, ParameterCountsAreThePublishedOnes) {
  EXPECT_EQ(make_model(named("lenet5"), images(1, 28)).parameter_count(), 44'426);
  // 784*128+128 + 128*128+128 + 128*10+10
  EXPECT_EQ(make_model(named("mlp"), images(1, 28)).parameter_count(), 118'282);
  // He et al.: 0.27 M. Convolutions 144*c + 6*9*16*16 + ..., norms and two projections of our own.
  const std::int64_t stage1 = 7 * 2 * 16 + 9 * 3 * 16 + 6 * 9 * 16 * 16;
  const std::int64_t stage2 = 7 * 2 * 32 + 9 * 16 * 32 + 5 * 9 * 32 * 32 + 16 * 32;
  const std::int64_t stage3 = 7 * 2 * 64 + 9 * 32 * 64 + 5 * 9 * 64 * 64 + 32 * 64;
  EXPECT_EQ(make_model(named("resnet20"), images(3, 32)).parameter_count(),
            stage1 + stage2 + stage3 + 650);
  const std::int64_t block = 4 * (64 * 64 + 64) + 2 * 128 + 64 * 256 + 256 + 256 * 64 + 64;
  EXPECT_EQ(make_model(named("char_transformer"), characters()).parameter_count(),
            30 * 64 + 16 * 64 + 2 * block + 128 + 64 * 30 + 30);
}

TEST(ZooTest, EveryModelRunsAndGivesOneLogitAClassAndLabel) {
  for (const ModelInfo& info : known_models()) {
    const ModelRequest request = request_for(info.name);
    const Graph graph = make_model(named(std::string(info.name)), request);
    auto executor = make_executor("auto", graph);
    const std::vector<float> samples(
        static_cast<std::size_t>(2 * element_count(request.input.shape)));
    const auto logits = executor->infer({initial_parameters(graph, 1).values()}, samples);
    EXPECT_EQ(static_cast<std::int64_t>(logits.size()),
              2 * request.input.labels_per_sample * request.classes)
        << info.name;
    EXPECT_FALSE(info.sentence.empty());
  }
}

TEST(ZooTest, ImagesAreNormalizedByTheFirstLayer) {
  for (const char* name : {"mlp", "lenet5", "resnet20"}) {
    const Graph graph = make_model(named(name), images(1, 28));
    const Node& first = graph.nodes().at(1);
    EXPECT_EQ(first.op, OpKind::normalize) << name;
    EXPECT_EQ(first.attributes.mean, 0.5) << name;
    EXPECT_EQ(first.attributes.deviation, 0.5) << name;
  }
}

TEST(ZooTest, ModelsSurviveTheirJson) {
  for (const ModelInfo& info : known_models()) {
    const Graph graph = make_model(named(std::string(info.name)), request_for(info.name));
    EXPECT_EQ(Graph::from_json(graph.to_json()), graph) << info.name;
  }
}

TEST(ZooTest, OptionsShapeTheModelsThatHaveThem) {
  ModelConfig mlp = named("mlp");
  mlp.hidden = {7};
  mlp.dropout = 0.5;
  const Graph graph = make_model(mlp, {.input = numbers({4}), .classes = 3});
  EXPECT_EQ(graph.parameter_count(), 4 * 7 + 7 + 7 * 3 + 3);
  EXPECT_NE(graph.node_named("dropout"), -1);
  EXPECT_EQ(graph.node_named("flatten"), -1);
  mlp.hidden = {};
  EXPECT_EQ(make_model(mlp, {.input = numbers({4}), .classes = 3}).parameter_count(), 15);

  ModelConfig resnet = named("resnet20");
  resnet.width = 8;
  EXPECT_EQ(make_model(resnet, images(3, 32)).nodes().at(2).shape, (Shape{8, 32, 32}));

  ModelConfig transformer = named("char_transformer");
  transformer.width = 12;
  transformer.heads = 3;
  transformer.depth = 5;
  transformer.dropout = 0.1;
  const Graph deep = make_model(transformer, characters());
  EXPECT_NE(deep.node_named("block5.attention"), -1);
  EXPECT_NE(deep.node_named("block5.feed_dropout"), -1);
  EXPECT_EQ(deep.node_named("block6.attention"), -1);
}

TEST(ZooTest, OptionThatAModelDoesNotHaveIsRefusedByName) {
  for (const ModelInfo& info : known_models()) {
    ModelConfig config = named(std::string(info.name));
    config.width = 16;
    const bool has_width = info.name == "resnet20" || info.name == "char_transformer";
    EXPECT_EQ(error_of(config, request_for(info.name)).find("no option width") != std::string::npos,
              !has_width)
        << info.name;
  }
  ModelConfig config = named("lenet5");
  config.hidden = {10};
  EXPECT_NE(error_of(config, images(1, 28)).find("no option hidden; it has none"),
            std::string::npos);
}

TEST(ZooTest, OptionOutOfRangeIsRefused) {
  ModelConfig resnet = named("resnet20");
  for (const std::int64_t width : {-8, 4, 12, 1 << 20}) {
    resnet.width = width;
    EXPECT_NE(error_of(resnet, images(3, 32)).find("multiple of 8"), std::string::npos) << width;
  }
  ModelConfig transformer = named("char_transformer");
  transformer.heads = 5;
  EXPECT_NE(error_of(transformer, characters()), "");
  transformer.heads = -1;
  EXPECT_NE(error_of(transformer, characters()), "");
  transformer.heads = 0;
  transformer.depth = 1'000'000'000;
  EXPECT_NE(error_of(transformer, characters()).find("model.depth"), std::string::npos);
  ModelConfig mlp = named("mlp");
  mlp.hidden = {0};
  EXPECT_NE(error_of(mlp, images(1, 28)).find("hidden1"), std::string::npos);
  mlp = named("mlp");
  mlp.dropout = 1.0;
  EXPECT_NE(error_of(mlp, images(1, 28)).find("rate"), std::string::npos);
}

TEST(ZooTest, DataThatDoesNotFitSaysWhatIsNeeded) {
  EXPECT_NE(error_of(named("lenet5"), images(1, 8)).find("at least 16x16"), std::string::npos);
  EXPECT_NE(error_of(named("lenet5"), images(1, 8)).find("1x8x8"), std::string::npos);
  EXPECT_NE(error_of(named("lenet5"), {.input = numbers({784})}).find("needs images"),
            std::string::npos);
  EXPECT_NE(error_of(named("resnet20"), {.input = numbers({784})}).find("needs images"),
            std::string::npos);
  EXPECT_NE(error_of(named("mlp"), characters()).find("16 ids"), std::string::npos);
  EXPECT_NE(error_of(named("char_transformer"), images(1, 28)).find("sequences of ids"),
            std::string::npos);
  ModelRequest without_vocabulary = characters();
  without_vocabulary.vocabulary = 0;
  EXPECT_NE(error_of(named("char_transformer"), without_vocabulary).find("vocabulary"),
            std::string::npos);
}

TEST(ZooTest, UnknownModelNamesTheNearest) {
  EXPECT_NE(error_of(named("lenet"), images(1, 28)).find("'lenet5'"), std::string::npos);
}

TEST(ZooTest, OwnLayersMustEndInTheDatasLogits) {
  ModelConfig own;
  own.layers = {{"flatten", "", {}, {}}, {"linear", "", {}, {.out = 10}}};
  EXPECT_EQ(make_model(own, images(1, 28)).parameter_count(), 7850);
  own.layers.back().attributes.out = 9;
  EXPECT_NE(error_of(own, images(1, 28)).find("logits of 10, layer 'linear1' gives 9"),
            std::string::npos)
      << error_of(own, images(1, 28));
}

}  // namespace
}  // namespace coppice
