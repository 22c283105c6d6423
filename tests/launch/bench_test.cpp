#include "launch/bench/bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "comm/codec.h"
#include "launch/bench/rounds.h"
#include "launch/world.h"
#include "models/zoo.h"
#include "tests/deploy_runtime/programs.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

TEST(BenchTest, ASpreadIsMedianSmallestAndLargest) {
  const Spread odd = spread_of({5.0, 1.0, 3.0});
  EXPECT_EQ(odd.median, 3.0);
  EXPECT_EQ(odd.min, 1.0);
  EXPECT_EQ(odd.max, 5.0);
  EXPECT_EQ(spread_of({4.0, 1.0, 2.0, 9.0}).median, 3.0);
  EXPECT_EQ(spread_of({7.0}).median, 7.0);
}

double figure(const BenchReport& report, const std::string& name) {
  for (const BenchFigure& one : report.figures) {
    if (one.name == name) return one.spread.median;
  }
  ADD_FAILURE() << name;
  return -1.0;
}

TEST(BenchTest, CodecsAreAllMeasuredAndTheirFiguresFitTheirClaims) {
  const BenchReport report =
      bench_codecs({.values = 1 << 16, .runs = 5, .bias_values = 1024, .draws = 200});
  for (const CodecInfo& info : known_codecs())
    EXPECT_NE(report.table.find(info.name), std::string::npos) << info.name;
  EXPECT_EQ(figure(report, "dense.error"), 0.0);
  EXPECT_NEAR(figure(report, "dense.ratio"), 1.0, 1e-3);
  EXPECT_NEAR(figure(report, "int8.ratio"), 32.0 / 8.125, 0.01);
  EXPECT_NEAR(figure(report, "int4.ratio"), 32.0 / 4.125, 0.01);
  EXPECT_NEAR(figure(report, "rotated-4.ratio"), 262144.0 / (32768 + 16 * 4 + 37), 1e-6);
  EXPECT_NEAR(figure(report, "rotated-4.error"), std::sqrt(0.009501 / 0.990499), 1e-3);
  EXPECT_NEAR(figure(report, "rotated-budget-2.error"), figure(report, "rotated-2.error"), 0.01);
  EXPECT_GT(figure(report, "qsgd-64.ratio"), figure(report, "qsgd-1024.ratio"));
  EXPECT_NEAR(figure(report, "topk-0.1.bias"), figure(report, "topk-0.1.error"), 1e-9);
  for (const std::string label : {"int8", "int4", "rotated-1", "rotated-4"}) {
    EXPECT_GT(figure(report, label + ".encode"), 0.0);
    EXPECT_LT(figure(report, label + ".bias"), 0.03 * figure(report, label + ".error")) << label;
  }
}

TEST(BenchTest, KernelsNamesEveryLayerAndCountsItsArithmetic) {
  ModelConfig model;
  model.name = "lenet5";
  const Graph graph = make_model(model, {.input = numbers({1, 28, 28})});
  TrainConfig config;
  config.batch_size = 10;
  const BenchReport report = bench_kernels(graph, config);
  for (const std::string name : {"conv1.conv2d.forward", "conv2.conv2d.backward",
                                 "pool1.max_pool2d.backward", "fc1.linear.forward"})
    EXPECT_GT(figure(report, name), 0.0);
  EXPECT_GT(figure(report, "ceiling"), 0.0);
  EXPECT_EQ(report.facts.at("samples").as_integer(), 10);
}

TEST(BenchTest, TheRuntimeIsMeasuredLayerByLayerAgainstItsCeilings) {
  const runtime::Program program = runtime::lenet(8, 16, 120, 84);
  const BenchReport report = bench_runtime(std::vector<NamedProgram>{{"a.cpk", program}});
  const double fp32 = figure(report, "a.cpk.ceiling.fp32");
  EXPECT_GT(fp32, 0.0);
  EXPECT_GT(figure(report, "a.cpk.ceiling.int8"), fp32 / 4);
  for (const std::string layer : {"conv2d2", "conv2d5", "linear9"}) {
    EXPECT_GT(figure(report, "a.cpk." + layer), 0.0);
    EXPECT_GT(figure(report, "a.cpk." + layer + ".of_ceiling"), 0.0);
    EXPECT_LT(figure(report, "a.cpk." + layer + ".of_ceiling"), 2.0) << layer;
  }
  EXPECT_EQ(report.table.find("relu3"), std::string::npos);    // folded: no time of its own
  EXPECT_NE(report.table.find("153,600"), std::string::npos);  // conv2's multiply-adds
  const Json& arena = report.facts.at("a.cpk.arena");
  EXPECT_EQ(arena.at("written_bytes").as_integer(), arena.at("planned_bytes").as_integer());
}

TEST(BenchTest, AggregationIsMeasuredForEveryCodec) {
  const BenchReport report =
      bench_aggregate({.least_parameters = 2000, .most_parameters = 2000, .most_ranks = 2});
  for (const CodecInfo& info : known_codecs()) {
    const std::string name = std::string(info.name) + ".2000.10.1";
    EXPECT_GT(figure(report, name), 0.0) << name;
    EXPECT_GT(figure(report, name + ".share"), 0.0) << name;
  }
  EXPECT_GT(figure(report, "dense.2000.100.1"), 0.0);
}

TEST(BenchTest, ALatencyTableHoldsForWhatPruningMakesOfTheNetwork) {
  ModelConfig model;
  model.name = "mlp";
  model.hidden = {16};
  const Graph graph = make_model(model, {.input = numbers({1, 6, 6})});
  const LatencyTableBench bench = bench_latency_table(graph, 2);
  EXPECT_GE(figure(bench.report, "error"), 0.0);
  EXPECT_TRUE(std::isfinite(figure(bench.report, "error")));
  for (const char* part : {"random 2", "largest error", "codes of vector"})
    EXPECT_NE(bench.report.table.find(part), std::string::npos) << bench.report.table;
  EXPECT_EQ(latency_table_from_json(to_json(bench.table), "t"), bench.table);
}

TEST(BenchTest, UplinkComparesEveryCodecAtTheBytesOfRotated) {
  const BenchFolder folder;
  write_noise(folder.path(), {.side = 10, .train = 300, .test = 20});
  ExperimentConfig config;
  config.model.name = "mlp";
  config.model.hidden = {16};
  config.data.name = "idx";
  config.data.root = folder.path().string();
  config.data.partition.clients = 2;
  Checkpoint model;  // as it begins
  World world = make_world(config);
  model.graph = std::move(world.graph);
  model.parameters = std::move(world.parameters);
  const BenchReport report = bench_uplink(config, std::move(model), {.bits = {3}, .draws = 3});
  const double bytes = figure(report, "3-bit.rotated.bytes");
  for (const std::string codec :
       {"rotated, bits by block", "rotated, bits by block, bytes by client", "qsgd", "dadaquant",
        "topk", "stc"}) {
    EXPECT_LE(figure(report, "3-bit." + codec + ".bytes"), bytes) << codec;
    // A sign and a position a value is all that stc can use.
    EXPECT_GT(figure(report, "3-bit." + codec + ".bytes"), (codec == "stc" ? 0.3 : 0.8) * bytes)
        << codec;
    EXPECT_LT(figure(report, "3-bit." + codec + ".error"), 1.0) << codec;
    EXPECT_GT(figure(report, "3-bit." + codec + ".mean_error"), 0.0) << codec;
  }
}

TEST(BenchTest, SensitivitiesArePredictedAndMeasuredForEveryChoice) {
  const BenchFolder folder;
  write_noise(folder.path(), {.side = 6, .train = 400, .test = 20});
  ExperimentConfig config;
  config.model.name = "mlp";
  config.model.hidden = {16};
  config.data.name = "idx";
  config.data.root = folder.path().string();
  config.data.partition.clients = 2;
  Checkpoint model;  // as it begins: training needs what is installed beside the command
  World world = make_world(config);
  model.graph = std::move(world.graph);
  model.parameters = std::move(world.parameters);
  const BenchReport report =
      bench_sensitivity(config, std::move(model), {.choices = 4, .samples = 100});
  EXPECT_EQ(std::ranges::count(report.table.substr(0, report.table.find("\n\n")), '\n'), 4);
  EXPECT_EQ(report.facts.at("samples").as_integer(), 100);
  EXPECT_GT(report.facts.at("loss").as_number(), 0.0);
  for (const std::string name : {"predicted", "diagonal", "balanced"}) {
    EXPECT_LE(std::abs(figure(report, name + ".rank_correlation")), 1.0);
    EXPECT_GT(figure(report, name + ".factor"), 0.0);
  }
}

}  // namespace
}  // namespace coppice
