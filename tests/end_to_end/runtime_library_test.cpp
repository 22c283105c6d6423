// The deployment runtime as others link it: the example in C, its size and its memory.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "core/json.h"
#include "deploy/runtime/cpk.h"
#include "tests/deploy_runtime/programs.h"
#include "tests/end_to_end/process.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

class RuntimeLibraryTest : public ::testing::Test {
 protected:
  RuntimeLibraryTest()  // tests run at the same time
      : folder_(fs::path(::testing::TempDir()) /
                ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::create_directories(folder_);
    const auto file = runtime::write_cpk(runtime::in_panels(program_));
    std::ofstream(folder_ / "model.cpk", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()),
               static_cast<std::streamsize>(file.size()));
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The program of that name from the build, in the folder.
  Outcome run(const std::string& program, const std::string& rest) const {
    const std::string command = std::string(COPPICE_BINARY_DIR) + "/" + program + " " + rest;
    return run_command(
        {.arguments = {"/bin/sh", "-c", command}, .environment = {}, .folder = folder_});
  }

  const runtime::Program program_ = runtime::lenet(8, 16, 120, 84);  // LeNet-5, 44,426 parameters
  const fs::path folder_;
};

TEST_F(RuntimeLibraryTest, TheExamplePrintsTheInterpretersOutputs) {
  const std::vector<float> sample = runtime::random_sample(784, 1);
  std::ofstream values(folder_ / "values.txt");
  values << std::setprecision(std::numeric_limits<float>::max_digits10);
  for (const float value : sample) values << value << '\n';
  values.close();
  const Outcome outcome = run("coppice-example", "model.cpk < values.txt");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<float> expected = runtime::outputs(program_, sample);
  std::istringstream lines(outcome.out);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    float value = 0.0F;
    std::string label;
    ASSERT_TRUE(lines >> value >> label) << outcome.out;
    EXPECT_EQ(value, expected[i]);
    EXPECT_EQ(label, program_.input.label_names[i]);
  }
}

TEST_F(RuntimeLibraryTest, TheExampleSaysWhatIsWrong) {
  const Outcome missing = run("coppice-example", "none.cpk");
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.err.find("none.cpk"), std::string::npos) << missing.err;
  EXPECT_EQ(run("coppice-example", "model.cpk < model.cpk").exit_code, 1);
}

TEST_F(RuntimeLibraryTest, AProgramWithTheRuntimeIsUnderTwoMegabytes) {
  for (const std::string name : {"coppice-example", "coppice-measure"}) {
    const fs::path built = fs::path(COPPICE_BINARY_DIR) / name;
    const fs::path stripped = folder_ / name;
    const Outcome outcome = run_command(
        {.arguments = {COPPICE_STRIP, "-o", stripped.string(), built.string()}, .environment = {}});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_LT(fs::file_size(stripped), 2'000'000U) << name;
  }
}

TEST_F(RuntimeLibraryTest, AProcessWithLenet5IsUnderSixMegabytes) {
  for (const std::string threads : {"1", "2"}) {
    const Outcome outcome = run("coppice-measure", "model.cpk 200 --threads " + threads);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json measured = Json::parse(outcome.out, "coppice-measure");
    EXPECT_LT(measured.at("peak_bytes").as_integer(), 6'000'000) << outcome.out;
    EXPECT_GT(measured.at("peak_bytes").as_integer(), 500'000) << outcome.out;
    EXPECT_EQ(std::to_string(measured.at("threads").as_integer()), threads);
  }
  EXPECT_EQ(run("coppice-measure", "model.cpk --threads 0").exit_code, 2);
  EXPECT_EQ(run("coppice-measure", "model.cpk --threads").exit_code, 2);
}

}  // namespace
}  // namespace coppice::testing
