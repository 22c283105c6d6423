// The Python package `safetensors` reads what we write and writes what we read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/checkpoint.h"
#include "core/file.h"
#include "core/parameter_arena.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

// A python3 that has the package: the one that set-up made, or the system's. Empty if there is
// none.
std::string python() {
  for (const std::string& candidate :
       {std::string(COPPICE_SOURCE_DIR "/.deps/venv/bin/python"), std::string("python3")}) {
    const std::string probe = candidate + " -c 'import numpy, safetensors.numpy' 2>/dev/null";
    if (std::system(probe.c_str()) == 0) return candidate;
  }
  return "";
}

// What the script prints; its arguments are paths.
std::string run(const std::string& interpreter, const std::string& script, const fs::path& path) {
  const fs::path file = path.string() + ".py";
  std::ofstream(file) << script;
  const std::string command = interpreter + " '" + file.string() + "' '" + path.string() + "' 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string out;
  std::array<char, 256> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  ::pclose(pipe);
  fs::remove(file);
  return out;
}

Graph small() {
  return Graph::build(
      numbers({3}),
      {{"linear", "a", {}, {.out = 4}}, {"relu", "r", {}, {}}, {"linear", "b", {}, {.out = 2}}});
}

class SafetensorsPythonTest : public testing::Test {
 protected:
  void SetUp() override {
    interpreter_ = python();
    if (interpreter_.empty()) GTEST_SKIP() << "no python3 with the packages numpy and safetensors";
  }
  void TearDown() override { fs::remove(path_); }

  std::string interpreter_;
  fs::path path_ = fs::path(testing::TempDir()) /
                   ("coppice_" + std::to_string(::getpid()) + "_" +
                    testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors");
};

TEST_F(SafetensorsPythonTest, PackageReadsOurCheckpoints) {
  Checkpoint checkpoint;
  checkpoint.graph = small();
  for (std::int64_t i = 0; i < checkpoint.graph.parameter_count(); ++i)
    checkpoint.parameters.push_back(static_cast<float>(i) / 4.0F);
  checkpoint.mask = Mask(checkpoint.graph.parameter_count());
  const std::vector<std::uint8_t> bytes = to_bytes(checkpoint);
  std::ofstream(path_, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  const std::string out = run(interpreter_, R"(
import sys
from safetensors import safe_open
from safetensors.numpy import load_file
tensors = load_file(sys.argv[1])
for name in sorted(tensors):
    print(name, tensors[name].dtype, list(tensors[name].shape), float(tensors[name].sum(dtype='float64')))
print(safe_open(sys.argv[1], 'np').metadata()['format'])
)",
                              path_);
  EXPECT_EQ(out,
            "a.bias float32 [4] 13.5\n"             // (12 + .. + 15) / 4
            "a.weight float32 [4, 3] 16.5\n"        // (0 + .. + 11) / 4
            "b.bias float32 [2] 12.25\n"            // (24 + 25) / 4
            "b.weight float32 [2, 4] 39.0\n"        // (16 + .. + 23) / 4
            "coppice.mask uint64 [1] 67108863.0\n"  // 2^26 - 1
            "coppice-checkpoint-1\n");
}

TEST_F(SafetensorsPythonTest, OurReaderTakesThePackagesFilesAsInitialWeights) {
  const std::string out = run(interpreter_, R"(
import sys
import numpy as np
from safetensors.numpy import save_file
ramp = lambda begin, *shape: np.arange(begin, begin + np.prod(shape), dtype=np.float32).reshape(shape)
save_file({'b.weight': ramp(16, 2, 4), 'a.bias': ramp(12, 4), 'b.bias': ramp(24, 2), 'a.weight': ramp(0, 4, 3)},
          sys.argv[1], metadata={'made': 'by numpy'})
print('written')
)",
                              path_);
  ASSERT_EQ(out, "written\n");
  const std::vector<float> weights =
      weights_for(small(), read_file(path_.string()), path_.string());
  ASSERT_EQ(weights.size(), 26U);
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(weights[i], static_cast<float>(i));
}

}  // namespace
}  // namespace coppice
