#include "launch/artefact_tables.h"

#include <gtest/gtest.h>

#include "deploy/runtime/cpk.h"

namespace coppice {
namespace {

// input 2 (codes) -> linear 2 of 8-bit weights -> relu (codes)
runtime::Program tiny_program() {
  runtime::Program program;
  program.input.shape = {2};
  runtime::Node input;
  input.name = "input";
  input.grid = runtime::Grid{0.5F, 3};
  runtime::Node product;
  product.op = runtime::Op::linear;
  product.name = "last";
  product.inputs = {0};
  product.out = 2;
  product.weights = {.bits = 8, .values = {}, .codes = {1, 2, 3, 4}, .scales = {1.0F, 1.0F}};
  product.bias_codes = {1, 2};
  runtime::Node relu;
  relu.op = runtime::Op::relu;
  relu.name = "bend";
  relu.inputs = {1};
  relu.grid = runtime::Grid{1.0F, 0};
  program.nodes = {input, product, relu};
  return program;
}

TEST(ArtefactTablesTest, ProgramsShowWhatIsStored) {
  LayerUses uses = layer_uses(tiny_program());
  EXPECT_EQ(uses.at("last").bytes, runtime::cpk_bytes(tiny_program()).nodes[1]);
  uses.at("last").bytes = 16;  // deflate's versions differ
  EXPECT_EQ(program_table(tiny_program(), uses),
            "layer  op      output  scale  zero point  layout  bits  bytes  time\n"
            "input  input   2         0.5           3                    0     -\n"
            "last   linear  2                          rows       4     16     -\n"
            "bend   relu    2           1           0                    0     -\n"
            "total                                                      16\n");
  const Json json = program_json(tiny_program(), uses);
  EXPECT_EQ(json.at("total").at("stored_bytes").as_integer(), 16);
  EXPECT_EQ(json.at("layers").as_array()[1].at("bits").as_integer(), 4);
  EXPECT_TRUE(json.at("layers").as_array()[1].at("scale").is_null());
  EXPECT_EQ(json.at("layers").as_array()[1].at("layout").as_text(), "rows");
  EXPECT_TRUE(json.at("layers").as_array()[2].at("layout").is_null());
  EXPECT_EQ(json.at("layers").as_array()[0].at("zero_point").as_integer(), 3);
}

TEST(ArtefactTablesTest, TimeSharesAddUpAndFoldedLayersHaveNone) {
  LayerUses uses = layer_uses(tiny_program());
  profile_layers(tiny_program(), uses);
  double sum = 0.0;
  for (const auto& [name, use] : uses) sum += use.time_share.value();
  EXPECT_NEAR(sum, 1.0, 1e-9);
  EXPECT_EQ(uses.at("bend").time_share, 0.0);
  EXPECT_EQ(time_text(uses.at("bend")), "0.0%");
}

TEST(ArtefactTablesTest, OnnxShowsNodesByOperationAndInitializers) {
  OnnxSummary summary;
  summary.opset = 17;
  summary.ir_version = 8;
  summary.producer = "other";
  summary.producer_version = "2";
  summary.metadata = {{"key", "value"}};
  summary.inputs = {{.name = "input", .element_type = "FLOAT", .shape = {-1, 2}}};
  summary.nodes = {{"a", "Gemm", ""}, {"b", "Relu", ""}, {"c", "Gemm", ""}, {"d", "Odd", "x.y"}};
  summary.initializers = {
      {.name = "a.weight", .element_type = "UINT8", .shape = {2, 2}, .bytes = 4}};
  EXPECT_EQ(onnx_text(summary),
            "producer  other 2\n"
            "opset     17, IR version 8\n"
            "checked   not written by coppice\n"
            "key       value\n"
            "nodes     4: 2 Gemm, 1 Relu, 1 x.y.Odd\n"
            "\n"
            "tensor                 type   shape  bytes\n"
            "input     input        FLOAT  ?x2        0\n"
            "a.weight  initializer  UINT8  2x2        4\n"
            "total                                    4\n");
  const Json json = onnx_json(summary);
  EXPECT_EQ(json.at("nodes").as_array().size(), 4U);
  EXPECT_EQ(json.at("inputs").as_array()[0].at("shape").as_integers(),
            (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(json.at("metadata").at("key").as_text(), "value");
}

}  // namespace
}  // namespace coppice
