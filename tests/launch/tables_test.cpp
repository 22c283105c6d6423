#include "launch/tables.h"

#include <gtest/gtest.h>

#include "core/coupling.h"

namespace coppice {
namespace {

LayerSpec layer(const char* op, const char* name, std::int64_t out = 0) {
  LayerSpec spec{.op = op, .name = name, .inputs = {}, .attributes = {}};
  spec.attributes.out = out;
  return spec;
}

Graph two_layers(std::int64_t hidden) {
  return Graph::build(
      {.shape = {4}, .label_names = {}},
      {layer("linear", "first", hidden), layer("relu", "bend"), layer("linear", "last", 2)});
}

TEST(TablesTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"a", "number", "note"}, "lrl");
  table.add({"long name", "7", ""});
  table.add({"b", "12,345,678", "±"});
  EXPECT_EQ(table.text(),
            "a              number  note\n"
            "long name           7\n"
            "b          12,345,678  ±\n");
}

TEST(TablesTest, NumbersAreWrittenForPeople) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1'234'567), "1,234,567");
  EXPECT_EQ(with_commas(-123), "-123");
  EXPECT_EQ(with_commas(-1234), "-1,234");
  EXPECT_EQ(percent(Json(0.5)), "50.00%");
  EXPECT_EQ(percent(Json()), "-");
  EXPECT_EQ(duration(4.24), "4.2 s");
  EXPECT_EQ(duration(185.0), "3:05 min");
}

TEST(TablesTest, LayersShowCostAndCouplingGroup) {
  EXPECT_EQ(layer_table(two_layers(3)),
            "layer  op      output  MACs  parameters  bytes  coupling group\n"
            "input  input   4          0           0      0\n"
            "first  linear  3         12          15     60  first (3 units)\n"
            "bend   relu    3          0           0      0\n"
            "last   linear  2          6           8     32  last (fixed)\n"
            "total                    18          23     92\n");
}

TEST(TablesTest, UnitsAreShownAgainstTheDenseGraph) {
  const Graph dense = two_layers(8);
  const Graph graph = two_layers(3);
  EXPECT_NE(layer_table(graph, &dense).find("first 3/8"), std::string::npos);
  EXPECT_EQ(kept_table(graph, dense),
            "coupling group  layers  kept  dense\n"
            "first           first      3      8  38%\n");
}

// `first` in 4-bit codes, 3 x 4 of them; `last` in fp32.
LayerUses uses_of_two_layers() {
  QuantPlan plan;
  plan.weights.push_back({.parameter = "first.weight", .bits = 4, .scales = {1.0F, 1.0F, 1.0F}});
  LayerUses uses = layer_uses(two_layers(3), plan);
  uses["first"].time_share = 0.75;
  return uses;
}

TEST(TablesTest, UsesFollowThePlan) {
  const LayerUses uses = uses_of_two_layers();
  EXPECT_EQ(uses.at("first"), (LayerUse{.bits = 4, .bytes = 6 + 6 + 12, .time_share = 0.75}));
  EXPECT_EQ(uses.at("last"), (LayerUse{.bits = 32, .bytes = 4 * (6 + 2), .time_share = {}}));
  EXPECT_EQ(uses.at("bend"), LayerUse{});
  EXPECT_EQ(total_bytes(uses), 56);
}

TEST(TablesTest, FinishedLayersShowChannelsBitsBytesAndTime) {
  const Graph dense = two_layers(8);
  const LayerUses uses = uses_of_two_layers();
  EXPECT_EQ(
      layer_table(two_layers(3), &dense, &uses),
      "layer  op      output  MACs  parameters  channels  bits  bytes   time  coupling group\n"
      "input  input   4          0           0                      0      -\n"
      "first  linear  3         12          15       3/8     4     24  75.0%  first 3/8\n"
      "bend   relu    3          0           0                      0      -\n"
      "last   linear  2          6           8       2/2    32     32      -  last (fixed)\n"
      "total                    18          23                     56\n");
  const Json json = layers_json(two_layers(3), &dense, &uses);
  const Json& first = json.at("layers").as_array()[1];
  EXPECT_EQ(first.at("channels").as_integer(), 3);
  EXPECT_EQ(first.at("dense_channels").as_integer(), 8);
  EXPECT_EQ(first.at("bits").as_integer(), 4);
  EXPECT_EQ(first.at("stored_bytes").as_integer(), 24);
  EXPECT_EQ(first.at("time_share").as_number(), 0.75);
  EXPECT_TRUE(json.at("layers").as_array()[2].at("bits").is_null());
  EXPECT_EQ(json.at("total").at("stored_bytes").as_integer(), 56);
}

TEST(TablesTest, LayersAsJsonHoldTheSameFigures) {
  const Graph dense = two_layers(8);
  const Json json = layers_json(two_layers(3), &dense);
  EXPECT_EQ(json.at("total").at("macs").as_integer(), 18);
  EXPECT_EQ(json.at("total").at("parameters").as_integer(), 23);
  EXPECT_EQ(json.at("layers").as_array().size(), 4U);
  const Json& first = json.at("layers").as_array()[1];
  EXPECT_EQ(first.at("output").as_integers(), std::vector<std::int64_t>{3});
  EXPECT_EQ(first.at("coupling_groups").as_texts(), std::vector<std::string>{"first"});
  bool is_found = false;
  for (const Json& group : json.at("coupling_groups").as_array()) {
    if (group.at("name").as_text() != "first") continue;
    is_found = true;
    EXPECT_EQ(group.at("units").as_integer(), 3);
    EXPECT_EQ(group.at("dense_units").as_integer(), 8);
    EXPECT_TRUE(group.at("prunable").as_bool());
  }
  EXPECT_TRUE(is_found);
}

}  // namespace
}  // namespace coppice
