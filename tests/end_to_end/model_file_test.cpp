// model.safetensors for those who do not have Coppice: the Python package opens it.

#include <numeric>

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

constexpr const char* kReadShapes = R"(
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], 'np') as file:
    print(json.dumps({name: list(file.get_tensor(name).shape) for name in file.keys()}))
)";

class ModelFileTest : public RunTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(python())) GTEST_SKIP() << python() << " is not there";
  }

  static std::string python() { return std::string(COPPICE_SOURCE_DIR) + "/.deps/venv/bin/python"; }

  static Json shapes_of(const std::filesystem::path& file) {
    const Outcome outcome =
        run_command({.arguments = {python(), "-c", kReadShapes, file.string()}, .environment = {}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out, "python");
  }

  static std::int64_t elements_of(const Json& shapes) {
    std::int64_t sum = 0;
    for (const auto& [name, shape] : shapes.as_object()) {
      const std::vector<std::int64_t> axes = shape.as_integers();
      sum += std::accumulate(axes.begin(), axes.end(), std::int64_t{1}, std::multiplies<>());
    }
    return sum;
  }
};

TEST_F(ModelFileTest, OpensInPythonWithTheShapesOfThePrunedModel) {
  const Json summary = summary_of({.more = {"lenet5.yaml", "train.rounds=2"}});
  const Json pruned = shapes_of(path("run") / "model" / "model.safetensors");
  const Json dense = shapes_of(path("run") / "model" / "dense.safetensors");
  EXPECT_EQ(elements_of(pruned), summary.at("parameters").as_integer());
  EXPECT_EQ(elements_of(dense), summary.at("dense_parameters").as_integer());
  ASSERT_EQ(pruned.as_object().size(), dense.as_object().size());
  for (const auto& [name, shape] : dense.as_object()) {
    const std::vector<std::int64_t> whole = shape.as_integers();
    const std::vector<std::int64_t> left = pruned.at(name).as_integers();
    ASSERT_EQ(left.size(), whole.size()) << name;
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_LE(left[i], whole[i]) << name;
  }
}

TEST_F(ModelFileTest, StartsAnotherRun) {
  const std::vector<std::string> plain{"compress.control=false", "compress.prune.pruner=none"};
  summary_of({.out = "first", .more = plain});
  std::vector<std::string> more = plain;
  more.insert(more.end(), {"model.init=first/model/model.safetensors", "train.rounds=1"});
  const Json continued = summary_of({.out = "second", .more = more});
  const Json fresh = summary_of(
      {.out = "third",
       .more = {"compress.control=false", "compress.prune.pruner=none", "train.rounds=1"}});
  EXPECT_NE(continued.at("model_sha256"), fresh.at("model_sha256"));
}

}  // namespace
}  // namespace coppice::testing
