#include "tests/deploy_onnx_slow/onnx_oracle.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "core/file.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "deploy/onnx/export.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

// A folder of this process that goes when the test does.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(fs::path(testing::TempDir()) / ("coppice_onnx_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

template <typename Value>
void write_values(const std::string& path, const std::vector<Value>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(Value)));
}

void write_case(const OracleCase& one, const std::string& stem) {
  write_values(stem + ".onnx", one.file.empty()
                                   ? to_onnx(one.checkpoint, {.version = "test", .metadata = {}})
                                   : read_file(one.file));
  if (one.checkpoint.graph.input().type == ElementType::kInt32) {
    const std::vector<std::int32_t> ids(one.samples.begin(), one.samples.end());
    write_values(stem + ".input", ids);
  } else {
    write_values(stem + ".input", one.samples);
  }
}

std::vector<float> read_floats(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

// What the command prints; throws with it unless the command succeeds.
std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed: " + command);
  std::string out;
  std::array<char, 256> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  if (::pclose(pipe) != 0) throw std::runtime_error(command + "\n" + out);
  return out;
}

}  // namespace

std::string onnx_python() {
  for (const std::string& candidate :
       {std::string(COPPICE_SOURCE_DIR "/.deps/venv/bin/python"), std::string("python3")}) {
    const std::string probe = candidate + " -c 'import numpy, onnxruntime' 2>/dev/null";
    if (std::system(probe.c_str()) == 0) return candidate;
  }
  return "";
}

OracleResult run_oracle(const std::string& interpreter, const std::string& level,
                        const std::vector<OracleCase>& cases) {
  const ScratchFolder folder;
  std::string command =
      interpreter + " " + COPPICE_SOURCE_DIR + "/tests/deploy_onnx_slow/run_onnx.py " + level;
  for (const OracleCase& one : cases) {
    const std::string stem = folder.file(one.name);
    write_case(one, stem);
    command += " '" + stem + ".onnx' '" + stem + ".input' '" + stem + ".output'";
  }
  OracleResult result{{}, output_of(command)};
  for (const OracleCase& one : cases)
    result.logits.push_back(read_floats(folder.file(one.name) + ".output"));
  return result;
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || a.empty()) return std::numeric_limits<double>::infinity();
  double difference = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, std::abs(double{a[i]} - double{b[i]}));
    largest = std::max(largest, std::abs(double{b[i]}));
    if (!std::isfinite(a[i])) return std::numeric_limits<double>::infinity();
  }
  return difference / largest;
}

std::vector<float> random_samples(const Graph& graph, std::int64_t count, std::int64_t vocabulary) {
  RandomStream stream({.purpose = Purpose::kGenerated, .task = count});
  std::vector<float> out(static_cast<std::size_t>(count * element_count(graph.input().shape)));
  for (float& value : out) {
    value = graph.input().type == ElementType::kInt32
                ? static_cast<float>(stream.next_below(static_cast<std::uint64_t>(vocabulary)))
                : stream.next_uniform();
  }
  return out;
}

std::vector<float> random_parameters(const Graph& graph, std::uint64_t seed) {
  ParameterArena arena = initial_parameters(graph, seed);
  RandomStream stream({.seed = seed, .purpose = Purpose::kGenerated});
  for (const ParameterSpec& parameter : graph.parameters()) {
    if (parameter.initializer == Initializer::kKaimingUniform) continue;
    const float centre = parameter.initializer == Initializer::kOnes ? 1.0F : 0.0F;
    for (float& value : arena.view(parameter)) value = centre + stream.next_uniform() - 0.5F;
  }
  return {arena.values().begin(), arena.values().end()};
}

}  // namespace coppice
