// `cmake --install` into an empty folder, and programs in C and C++ that know nothing else.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "deploy/runtime/cpk.h"
#include "tests/deploy_runtime/programs.h"
#include "tests/end_to_end/process.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProject = R"(
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C CXX)
find_package(CoppiceRuntime 0.1 REQUIRED)
add_executable(example example.c)
target_link_libraries(example PRIVATE Coppice::runtime)
add_executable(engine engine.cpp)
target_link_libraries(engine PRIVATE Coppice::runtime)
)";

// Outputs of `engine MODEL.cpk THREADS < values`.
constexpr const char* kEngine = R"(
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <vector>

#include "deploy/runtime/arena_use.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/work.h"

int main(int, char** words) try {
  std::ifstream file(words[1], std::ios::binary);
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  coppice::runtime::Engine engine(coppice::runtime::read_cpk(bytes, words[1]));
  engine.set_threads(std::atol(words[2]));
  std::vector<float> sample(static_cast<std::size_t>(engine.sample_size()));
  for (float& value : sample) std::cin >> value;
  std::vector<float> outputs(static_cast<std::size_t>(engine.logit_count()));
  engine.run(sample, outputs);
  for (const float output : outputs) std::cout << std::setprecision(9) << output << '\n';
} catch (const coppice::runtime::ModelError& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
)";

class InstallTest : public ::testing::Test {
 public:
  ~InstallTest() override { fs::remove_all(folder_); }

 protected:
  InstallTest()
      : folder_(fs::path(::testing::TempDir()) /
                ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "consumer");
  }

  Outcome shell(const std::string& command) const {
    return run_command(
        {.arguments = {"/bin/sh", "-c", command}, .environment = {}, .folder = folder_});
  }

  void expect_done(const std::string& command) const {
    const Outcome outcome = shell(command);
    ASSERT_EQ(outcome.exit_code, 0) << command << '\n' << outcome.out << outcome.err;
  }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  // The first word of every line.
  static std::vector<float> numbers_of(const std::string& text) {
    std::vector<float> numbers;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) numbers.push_back(std::stof(line));
    return numbers;
  }

  const fs::path folder_;
};

TEST_F(InstallTest, ProgramsOfOthersFindTheRuntimeAndGetItsOutputs) {
  const std::string cmake = COPPICE_CMAKE;
  expect_done(cmake + " --install " + COPPICE_BINARY_DIR + " --prefix prefix");
  const Outcome version = shell("prefix/bin/coppice --version");
  EXPECT_EQ(version.exit_code, 0) << version.err;
  EXPECT_TRUE(version.out.starts_with("coppice ")) << version.out;

  write("consumer/CMakeLists.txt", kProject);
  write("consumer/engine.cpp", kEngine);
  fs::copy_file(fs::path(COPPICE_SOURCE_DIR) / "deploy/runtime/example.c",
                folder_ / "consumer/example.c");
  expect_done(cmake + " -S consumer -B build -DCMAKE_PREFIX_PATH=" + (folder_ / "prefix").string() +
              " -DCMAKE_C_COMPILER=" + COPPICE_C + " -DCMAKE_CXX_COMPILER=" + COPPICE_CXX +
              " -DCMAKE_C_FLAGS=-Werror -DCMAKE_CXX_FLAGS=-Werror");
  expect_done(cmake + " --build build");

  const runtime::Program program = runtime::lenet(8, 16, 120, 84);
  const auto file = runtime::write_cpk(runtime::in_panels(program));
  write("model.cpk", std::string(file.begin(), file.end()));
  const std::vector<float> sample = runtime::random_sample(784, 1);
  std::ostringstream values;
  values << std::setprecision(std::numeric_limits<float>::max_digits10);
  for (const float value : sample) values << value << '\n';
  write("values.txt", values.str());
  const std::vector<float> expected = runtime::outputs(program, sample);
  for (const std::string command : {"build/example model.cpk", "build/engine model.cpk 2",
                                    "prefix/bin/coppice-measure model.cpk 20"}) {
    const Outcome outcome = shell(command + " < values.txt");
    ASSERT_EQ(outcome.exit_code, 0) << command << outcome.err;
    if (command.starts_with("build/")) {
      EXPECT_EQ(numbers_of(outcome.out), expected) << command;
    }
  }
}

TEST_F(InstallTest, AProjectWithoutCxxIsToldSo) {
  expect_done(std::string(COPPICE_CMAKE) + " --install " + COPPICE_BINARY_DIR +
              " --prefix prefix --component library");
  EXPECT_FALSE(fs::exists(folder_ / "prefix/bin"));
  std::string project = kProject;
  project.replace(project.find(" CXX"), 4, "");
  write("consumer/CMakeLists.txt", project);
  const Outcome outcome =
      shell(std::string(COPPICE_CMAKE) + " -S consumer -B build -DCMAKE_PREFIX_PATH=" +
            (folder_ / "prefix").string() + " -DCMAKE_C_COMPILER=" + COPPICE_C);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("LANGUAGES C CXX"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace coppice::testing
