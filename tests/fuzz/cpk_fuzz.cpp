// libFuzzer target of the .cpk reader and the interpreter; not part of the build. What is read
// reads back the same from what is written, and runs. From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined tests/fuzz/cpk_fuzz.cpp
//     deploy/runtime/*.cpp deploy/runtime/ops/*.cpp -o /tmp/cpk_fuzz
//   mkdir -p CORPUS && COPPICE_CPK_CORPUS=CORPUS deploy_runtime_test
//     --gtest_also_run_disabled_tests --gtest_filter='*WritesACorpus'
//   /tmp/cpk_fuzz -max_len=4096 CORPUS
// The input is a file without its last 32 bytes, the digest, which is computed here: a fuzzer does
// not find one.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/interpreter.h"
#include "deploy/runtime/sha256.h"

namespace coppice::runtime {
namespace {

// Throws ModelError for what does not read.
void read_and_run(std::vector<std::uint8_t> bytes) {
  const auto digest = sha256(bytes);
  bytes.insert(bytes.end(), digest.begin(), digest.end());
  const Program program = read_cpk(bytes, "fuzz");
  if (!(read_cpk(write_cpk(program), "written") == program)) __builtin_trap();
  if (work_of(program) > 1'000'000) return;
  Interpreter interpreter(program);
  const std::vector<float> sample(static_cast<std::size_t>(interpreter.sample_size()), 0.75F);
  std::vector<float> logits(static_cast<std::size_t>(interpreter.logit_count()));
  interpreter.run(sample, logits);
}

}  // namespace
}  // namespace coppice::runtime

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    coppice::runtime::read_and_run({data, data + size});
  } catch (const coppice::runtime::ModelError&) {
  }
  return 0;
}
