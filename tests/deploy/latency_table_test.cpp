#include "deploy/latency_table.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "deploy/latency_measurement.h"
#include "deploy/latency_probe.h"
#include "deploy/layout_choice.h"
#include "deploy/runtime/engine.h"
#include "tests/core/thrown.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice {
namespace {

using runtime::Layout;
using runtime::Op;

// f(in, out, density) on a grid of 8 bits.
template <typename Time>
LatencyGrid grid_of(Layout layout, const Time& time) {
  LatencyGrid grid{.bits = 8, .layout = layout, .in = {4, 16}, .out = {8, 16, 32}};
  grid.density =
      layout == Layout::kBlocks ? std::vector<double>{0.25, 0.5, 1.0} : std::vector<double>{1.0};
  for (const std::int64_t in : grid.in) {
    for (const std::int64_t out : grid.out) {
      for (const double density : grid.density)
        grid.microseconds.push_back(
            time(static_cast<double>(in), static_cast<double>(out), density));
    }
  }
  return grid;
}

double sum_of_all(double in, double out, double density) {
  return 1.0 + in + 100.0 * out + 1000.0 * density;
}

TEST(LatencyGridTest, WhatIsMeasuredIsGivenAndWhatIsBetweenLiesOnTheLine) {
  const LatencyGrid grid = grid_of(Layout::kPanels, sum_of_all);
  EXPECT_DOUBLE_EQ(grid.at(4, 8, 1.0), sum_of_all(4, 8, 1));
  EXPECT_DOUBLE_EQ(grid.at(16, 32, 1.0), sum_of_all(16, 32, 1));
  EXPECT_DOUBLE_EQ(grid.at(10, 16, 1.0), sum_of_all(10, 16, 1));
  EXPECT_DOUBLE_EQ(grid.at(10, 24, 1.0), sum_of_all(10, 24, 1));
}

TEST(LatencyGridTest, OutputsGoByEightAndInBlocksByFour) {
  const LatencyGrid panels = grid_of(Layout::kPanels, sum_of_all);
  EXPECT_DOUBLE_EQ(panels.at(4, 1, 1.0), panels.at(4, 8, 1.0));
  EXPECT_DOUBLE_EQ(panels.at(4, 9, 1.0), panels.at(4, 16, 1.0));
  EXPECT_DOUBLE_EQ(panels.at(4, 17, 1.0), sum_of_all(4, 24, 1));
  const LatencyGrid blocks = grid_of(Layout::kBlocks, sum_of_all);
  EXPECT_DOUBLE_EQ(blocks.at(4, 9, 0.5), sum_of_all(4, 12, 0.5));
  EXPECT_DOUBLE_EQ(blocks.at(9, 8, 0.5), sum_of_all(12, 8, 0.5));
}

TEST(LatencyGridTest, DensitiesAreInterpolatedAndBelowTheFirstTheLineGoesOn) {
  const LatencyGrid grid =
      grid_of(Layout::kBlocks, [](double, double, double density) { return 2.0 + 8.0 * density; });
  EXPECT_DOUBLE_EQ(grid.at(4, 8, 0.75), 8.0);
  EXPECT_DOUBLE_EQ(grid.at(4, 8, 0.3), 4.4);
  EXPECT_DOUBLE_EQ(grid.at(4, 8, 0.125), 3.0);
  EXPECT_DOUBLE_EQ(grid.at(4, 8, 0.0), 2.0);
  const LatencyGrid steep = grid_of(
      Layout::kBlocks, [](double, double, double density) { return density == 0.25 ? 1.0 : 11.0; });
  EXPECT_DOUBLE_EQ(steep.at(4, 8, 0.0), 0.1);  // never nothing
}

// input (codes) -> conv -> relu (codes) -> flatten -> linear, and dense weights.
runtime::Program small_network(std::int64_t channels = 12) {
  RandomStream random({.task = 3});
  const runtime::Grid grid{0.05F, 7};
  runtime::ProgramBuilder build({1, 8, 8}, grid);
  build.add_product(runtime::convolution(channels, 3, 1, 1), 8, random);
  build.add(Op::relu, grid);
  build.add_product(runtime::convolution(8, 3, 1, 1), 8, random);
  build.add(Op::relu, grid);
  build.add(Op::flatten);
  build.add_product(runtime::linear(10), 8, random);
  return runtime::in_panels(build.take());
}

TEST(LatencyTableTest, TimedNodesAreThoseThatTheEngineRuns) {
  const std::vector<TimedNode> nodes = timed_nodes(small_network());
  ASSERT_EQ(nodes.size(), 4U);  // the relus are folded, flatten does nothing
  EXPECT_EQ(nodes[1].geometry, "conv2d 3x3 stride 1x1 padding 1x1, codes of image 8x8 to codes");
  EXPECT_EQ(nodes[1].in, 1);
  EXPECT_EQ(nodes[1].out, 12);
  EXPECT_EQ(nodes[3].geometry, "linear, codes of image 8x8 to values");
  EXPECT_EQ(nodes[3].in, 8);
  EXPECT_EQ(nodes[3].layout, Layout::kPanels);
}

TEST(LatencyTableTest, AFlattenedImageOfOneChannelIsStillAnImage) {
  RandomStream random({.task = 3});
  runtime::ProgramBuilder build({1, 6, 6});
  build.add(Op::flatten);
  build.add_product(runtime::linear(4), 32, random);
  const TimedNode node = timed_nodes(build.take()).back();
  EXPECT_EQ(node.geometry, "linear, values of image 6x6 to values");
  EXPECT_EQ(node.in, 1);
  EXPECT_EQ(node.bits, 32);
}

// Of small_network(): every node takes `panels`, or `blocks` at all densities.
LatencyTable table_of(const runtime::Program& program, double panels, double blocks) {
  LatencyTable table{.cpu = "a \"CPU\"", .isa = "avx2", .version = "0", .network_sha256 = "00"};
  table.reference_us = 1.5;
  for (const TimedNode& node : timed_nodes(program)) {
    LatencyEntry entry{{node.name}, node.geometry, {}};
    for (const Layout layout : {Layout::kPanels, Layout::kBlocks}) {
      if (node.bits == 0 && layout == Layout::kBlocks) continue;
      entry.grids.push_back({node.bits,
                             node.bits == 0 ? Layout::kRows : layout,
                             {node.in},
                             {node.out},
                             {1.0},
                             {layout == Layout::kPanels ? panels : blocks}});
    }
    table.entries.push_back(std::move(entry));
  }
  return table;
}

TEST(LatencyTableTest, APredictionIsTheSumOverNodes) {
  const runtime::Program program = small_network();
  EXPECT_DOUBLE_EQ(table_of(program, 2.5, 1.0).predict(program), 4 * 2.5);
  EXPECT_DOUBLE_EQ(table_of(program, 2.5, 1.0).predict(runtime::in_blocks(program)), 2.5 + 3 * 1.0);
}

TEST(LatencyTableTest, TablesOfOtherNetworksAreRefusedByNode) {
  const LatencyTable table = table_of(small_network(), 1.0, 1.0);
  const auto refusal = [&](const runtime::Program& program) {
    return thrown_text<ConfigError>([&] { table.predict(program); });
  };
  EXPECT_TRUE(contains(refusal(small_network(13)),
                       "node 'conv2d1' (conv2d 3x3 stride 1x1 padding 1x1, codes of image 8x8 to "
                       "codes): expected at most 1 to 12 channels, got 1 to 13"));
  runtime::Program other = small_network();
  other.nodes.back().grid = runtime::Grid{0.1F, 0};
  EXPECT_TRUE(contains(refusal(other), "the table has it as linear, codes of image 8x8 to values"));
  runtime::Program renamed = small_network();
  renamed.nodes[3].name = "elsewhere";
  EXPECT_TRUE(contains(refusal(renamed), "node 'elsewhere'"));
  LatencyTable without = table;
  without.entries[1].grids.erase(without.entries[1].grids.begin());
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { without.predict(small_network()); }),
                       "no weights of 8 bits in panels"));
}

TEST(LatencyTableTest, JsonReadsBackEqual) {
  LatencyTable table = table_of(small_network(), 0.1, 1.0 / 3.0);
  table.entries[1].grids.push_back(grid_of(Layout::kBlocks, sum_of_all));
  table.entries[1].grids.back().bits = 4;
  EXPECT_EQ(latency_table_from_json(to_json(table), "t"), table);
}

TEST(LatencyTableTest, HostileJsonIsRefusedWithItsPlace) {
  LatencyTable table = table_of(small_network(), 1.0, 2.0);
  const std::string good = to_json(table);
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    const std::string message =
        thrown_text<DataError>([&] { latency_table_from_json(bad, "t.json"); });
    EXPECT_TRUE(message.starts_with("t.json: ")) << to << ": " << message;
    return message;
  };
  EXPECT_TRUE(contains(refusal("coppice latency table", "table"),
                       "format: expected 'coppice latency table', got 'table'"));
  EXPECT_TRUE(contains(refusal("\"version\":1", "\"version\":2"), "version: expected 1, got 2"));
  EXPECT_TRUE(contains(refusal("\"unit\":\"us\"", "\"unit\":\"ms\""), "unit: expected 'us'"));
  EXPECT_TRUE(contains(refusal("\"out\":[12]", "\"out\":[12,12]"), "layer 1, grid 0, out"));
  EXPECT_TRUE(contains(refusal("\"out\":[12]", "\"out\":[4,12]"),
                       "expected 1 x 2 x 1 numbers, at most 1048576, got 1"));
  EXPECT_TRUE(contains(refusal("\"out\":[12]", "\"out\":[]"), "grid 0, out: expected ascending"));
  EXPECT_TRUE(contains(refusal("\"out\":[12]", "\"out\":[99999999]"), "from 1 to 16777216"));
  EXPECT_TRUE(contains(refusal("\"microseconds\":[2", "\"microseconds\":[-2"), "got -2"));
  EXPECT_TRUE(contains(refusal("\"microseconds\":[2", "\"microseconds\":[1e300"), "at most 1e+09"));
  EXPECT_TRUE(contains(refusal("\"density\":[1", "\"density\":[0"), "density"));
  EXPECT_TRUE(contains(refusal("\"bits\":8", "\"bits\":5"), "bits: expected 0, 4, 8 or 32, got 5"));
  EXPECT_TRUE(contains(refusal("\"panels\"", "\"tiles\""), "layout: expected rows, panels"));
  EXPECT_TRUE(contains(refusal("\"blocks\"", "\"panels\""), "bits and layout of an earlier one"));
  EXPECT_TRUE(contains(refusal("\"nodes\":[\"conv2d1\"]", "\"nodes\":[]"), "names of nodes"));
  EXPECT_NE(refusal("\"cpu\"", "\"gpu\""), "");
  EXPECT_NE(refusal("{", "["), "");
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, good.size() / 2})
    EXPECT_NE(thrown_text<DataError>([&] { latency_table_from_json(good.substr(0, length), "t"); }),
              "");
}

TEST(LayoutChoiceTest, ATableDecidesByItsTimes) {
  const runtime::Program program = small_network();
  const auto layouts = [&](double panels, double blocks) {
    const LatencyTable table = table_of(program, panels, blocks);
    std::vector<Layout> out;
    for (const LayoutChoice& choice : choose_layouts(program, &table)) {
      EXPECT_EQ(choice.dense_us, panels);
      EXPECT_EQ(choice.blocks_us, blocks);
      EXPECT_EQ(choice.block_density, 1.0);
      EXPECT_TRUE(contains(choice.reason, "the table has")) << choice.reason;
      out.push_back(choice.layout);
    }
    return out;
  };
  EXPECT_EQ(layouts(1.0, 0.9), std::vector<Layout>(3, Layout::kBlocks));
  EXPECT_EQ(layouts(1.0, 1.0), std::vector<Layout>(3, Layout::kPanels));
}

TEST(LayoutChoiceTest, WithoutATableTheDensityDecides) {
  runtime::Program program = runtime::in_rows(small_network());
  const runtime::Inference inference = infer(program);
  const auto with_density = [&](double density) {
    runtime::Program sparse = program;
    for (const std::size_t i : {std::size_t{3}, std::size_t{6}}) {
      RandomStream random({.task = 1});
      empty_blocks(sparse.nodes[i].weights, product_shape(sparse.nodes[i], inference), density,
                   random);
    }
    return sparse;
  };
  const auto layout = [&](double density, std::size_t which) {
    return choose_layouts(with_density(density), nullptr)[which].layout;
  };
  const double of_convolution = most_block_density(true, 8);
  const double of_matrix = most_block_density(false, 8);
  EXPECT_EQ(layout(of_convolution - 0.05, 1), Layout::kBlocks);
  EXPECT_EQ(layout(of_convolution + 0.05, 1), Layout::kPanels);
  EXPECT_EQ(layout(of_matrix - 0.01, 2), Layout::kBlocks);
  EXPECT_EQ(layout(of_matrix + 0.01, 2), Layout::kPanels);
  const std::vector<LayoutChoice> choices = choose_layouts(with_density(0.1), nullptr);
  EXPECT_FALSE(choices[1].dense_us);
  EXPECT_LE(choices[1].block_density, 0.12);
  EXPECT_TRUE(contains(choices[1].reason, "without a table")) << choices[1].reason;
}

TEST(LayoutChoiceTest, ProgramsGetTheChosenLayoutsAndKeepTheirCodes) {
  const runtime::Program program = small_network();
  const LatencyTable table = table_of(program, 1.0, 0.5);
  const runtime::Program blocks = with_layouts(program, choose_layouts(program, &table));
  EXPECT_EQ(blocks.nodes[3].weights.layout, Layout::kBlocks);
  EXPECT_EQ(runtime::in_rows(blocks), runtime::in_rows(program));
  const std::vector<LayoutChoice> kept = explain_layouts(program, &table);
  EXPECT_EQ(kept[0].layout, Layout::kPanels);
  EXPECT_TRUE(kept[0].reason.starts_with("the file has it in panels, though")) << kept[0].reason;
  const Json json = layouts_json(kept);
  EXPECT_EQ(json.as_array()[0].at("layout").as_text(), "panels");
  EXPECT_EQ(json.as_array()[0].at("blocks_us").as_number(), 0.5);
  EXPECT_TRUE(
      layouts_json(choose_layouts(program, nullptr)).as_array()[0].at("dense_us").is_null());
}

TEST(LayoutChoiceTest, WhatHasOneOrderOnlySaysSo) {
  RandomStream random({.task = 3});
  runtime::ProgramBuilder build({4, 8, 8}, runtime::Grid{0.05F, 7});
  build.add_product(runtime::on(runtime::convolution(4, 3, 1, 1, 4), runtime::Grid{0.1F, 0}), 8,
                    random);
  build.add_product(runtime::convolution(4, 3, 1, 1), 32, random);
  const std::vector<LayoutChoice> choices = choose_layouts(build.take(), nullptr);
  EXPECT_EQ(choices[0].layout, Layout::kDepthwise);
  EXPECT_TRUE(contains(choices[0].reason, "groups")) << choices[0].reason;
  EXPECT_EQ(choices[1].layout, Layout::kPanels);
  EXPECT_TRUE(contains(choices[1].reason, "fp32")) << choices[1].reason;
}

TEST(LatencyProbeTest, ProbesAreTheLayerAtAnyWidthAndDensity) {
  const runtime::Program program = small_network();
  const TimedNode node = timed_nodes(program)[2];
  const Probe probe = make_probe(
      program, node, {.bits = 4, .layout = Layout::kBlocks, .in = 8, .out = 20, .density = 0.5});
  const runtime::Inference inference = infer(probe.program);
  const runtime::Node& layer = probe.program.nodes[probe.node];
  EXPECT_EQ(inference.shapes()[probe.node], (runtime::Shape{20, 8, 8}));
  EXPECT_EQ(layer.weights.bits, 4);
  EXPECT_DOUBLE_EQ(block_density(layer.weights, product_shape(layer, inference)), 0.5);
  EXPECT_EQ(timed_nodes(probe.program)[1].geometry, node.geometry);
}

TEST(LatencyMeasurementTest, EveryNodeOfANetworkIsMeasuredAndPredicted) {
  // One of each kind of node, and inputs of both kinds.
  RandomStream random({.task = 8});
  const runtime::Grid grid{0.05F, 7};
  runtime::ProgramBuilder build({2, 8, 8});
  build.add(Op::normalize, grid);
  build.add_product(runtime::convolution(16, 3, 1, 1), 8, random);
  const std::int32_t norm = build.add(runtime::on(runtime::group_norm(8, 16), grid));
  build.add_product(runtime::on(runtime::convolution(16, 3, 1, 1, 16), grid), 8, random);
  const std::int32_t sum = build.add(Op::add, grid, {norm, norm + 1});
  build.add(Op::concat, grid, {sum, norm});
  build.add(runtime::pool(Op::max_pool2d, 2, 2));
  const std::int32_t image = build.add(runtime::pool(Op::avg_pool2d, 2, 1));
  const std::int32_t means = build.add(Op::global_avg_pool);
  build.add(Op::channel_scale, grid, {image, means});
  build.add(Op::flatten);
  build.add_product(runtime::linear(10), 4, random);
  const runtime::Program program = runtime::in_panels(build.take());
  const SteadySpeed speed(runtime::chosen_kernels());
  int passes = 0;
  const LatencyTable table = measure_latency_table(std::span(&program, 1), speed,
                                                   {.passes = 2, .runs = 1}, [&] { ++passes; });
  EXPECT_EQ(passes, 2);
  EXPECT_EQ(table.network_sha256, network_digest(program));
  EXPECT_EQ(latency_table_from_json(to_json(table), "t"), table);
  for (const TimedNode& node : timed_nodes(program)) {
    const double time = table.microseconds(node);
    EXPECT_TRUE(time > 0.0 && time < 1e6) << node.name << ": " << time;
  }
  const runtime::Program programs[] = {program, runtime::in_blocks(program)};
  for (const runtime::Program& one : programs) EXPECT_GT(table.predict(one), 0.0);
  WholeNetworks whole(programs, speed);
  whole.pass(1);
  for (const double time : whole.microseconds()) EXPECT_GT(time, 0.0);
}

TEST(SteadySpeedTest, TheMedianIsOfTheCalmerHalf) {
  std::vector<SteadyTime> times{{9.0, 1.3}, {1.0, 1.0}, {2.0, 1.1}, {3.0, 1.05}, {8.0, 1.4}};
  EXPECT_EQ(calm_median(times), 2.0);
  std::vector<SteadyTime> one{{5.0, 2.0}};
  EXPECT_EQ(calm_median(one), 5.0);
}

}  // namespace
}  // namespace coppice
