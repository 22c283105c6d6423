// The commands on .onnx files: those of a run, and one of another tool.

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

const std::vector<std::string> kData{"--data", "idx", "--root", "images"};

class OnnxFileTest : public RunTest {
 protected:
  Outcome coppice(std::vector<std::string> arguments, const std::vector<std::string>& more) const {
    arguments.insert(arguments.begin(), std::string(COPPICE_BINARY_DIR) + "/coppice");
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command({.arguments = arguments, .environment = {}, .folder = folder()});
  }

  Json validated(const std::string& subject) const {
    const Outcome outcome = coppice({"validate", subject, "--runs", "10", "--json"}, kData);
    EXPECT_EQ(outcome.exit_code, 0) << subject << outcome.err;
    const std::size_t line = outcome.out.rfind('\n', outcome.out.size() - 2) + 1;
    return Json::parse(outcome.out.substr(line), subject);
  }

  Json inspected(const std::string& subject) const {
    const Outcome outcome = coppice({"inspect", subject, "--json"}, {});
    EXPECT_EQ(outcome.exit_code, 0) << subject << outcome.err;
    return Json::parse(outcome.out, subject);
  }
};

TEST_F(OnnxFileTest, ValidatesAndShowsTheLayersOfARunsFiles) {
  summary_of({.more = {"compressed.yaml"}});
  EXPECT_EQ(validated("run/model/model.onnx").at("accuracy"),
            validated("run/model/model.cpk").at("accuracy"));
  EXPECT_EQ(validated("run/model/dense.onnx").at("accuracy"),
            validated("run/model/dense.safetensors").at("accuracy"));
  const Json quantized = inspected("run/model/model.onnx");
  EXPECT_EQ(quantized.at("layers").as_array().size(),
            inspected("run/model/model.safetensors").at("layers").as_array().size());
  EXPECT_EQ(quantized.at("total").at("stored_bytes"),
            inspected("run/model/model.cpk").at("total").at("stored_bytes"));
}

TEST_F(OnnxFileTest, IsWhereOptimizingStarts) {
  summary_of({.more = {"compressed.yaml"}});
  std::vector<std::string> more = kData;
  more.insert(more.end(), {"--out", "small", "--json", "train.rounds=2", "train.batch_size=8",
                           "compress.prune.target=0.4"});
  const Outcome outcome = coppice({"optimize", "run/model/dense.onnx"}, more);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(std::filesystem::exists(path("small/model/model.cpk")));
  const Outcome refused = coppice({"optimize", "run/model/model.onnx"}, kData);
  EXPECT_EQ(refused.exit_code, 2);
  expect_one_paragraph(refused.err, "is quantized already");
  expect_refused({.more = {"model.init=run/model/model.onnx"}}, "is quantized; expected fp32");
}

TEST_F(OnnxFileTest, OfOtherDataIsRefused) {
  const std::string file =
      std::string(COPPICE_SOURCE_DIR) + "/tests/golden/onnx/image_traced17.onnx";
  for (const char* command : {"infer", "validate", "optimize"}) {
    const Outcome outcome = coppice({command, file}, kData);
    EXPECT_EQ(outcome.exit_code, 2) << command << outcome.out;
    expect_one_paragraph(outcome.err, "coppice: ");
  }
  EXPECT_EQ(inspected(file).at("layers").as_array().front().at("op").as_text(), "input");
}

}  // namespace
}  // namespace coppice::testing
