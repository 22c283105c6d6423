// libFuzzer target of the .cpk reader, the interpreter and the engine; not part of the build. What
// is read reads back the same from what is written, and runs. From the root of the checkout:
//   F="-std=c++20 -g -O1 -I. -fsanitize=fuzzer-no-link,address,undefined -c -w"
//   K=kernels/integer/integer
//   W="-mavx512f -mavx512bw -mavx512vl -mfma"
//   clang++ $F -o /tmp/k1.o ${K}_baseline.cpp
//   clang++ $F -mavx2 -mfma -o /tmp/k2.o ${K}_avx2.cpp
//   clang++ $F $W -o /tmp/k3.o ${K}_avx512.cpp
//   clang++ $F $W -mavx512vnni -o /tmp/k4.o ${K}_vnni.cpp
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined tests/fuzz/cpk_fuzz.cpp
//     deploy/runtime/*.cpp deploy/runtime/ops/*.cpp $K.cpp
//     kernels/code_stream.cpp /tmp/k[1-4].o -lz -o /tmp/cpk_fuzz
//   mkdir -p CORPUS && COPPICE_CPK_CORPUS=CORPUS deploy_runtime_test
//     --gtest_also_run_disabled_tests --gtest_filter='*WritesACorpus'
//   /tmp/cpk_fuzz -max_len=4096 CORPUS
// An input that begins as a file does is one without its last 32 bytes, the digest, which is
// computed here: a fuzzer does not find one. Behind any other first byte stand a u16, as many bytes
// of streams of coded weights, and a body, stored: a fuzzer does not see through deflate either.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/interpreter.h"
#include "tests/deploy_runtime/cpk_forge.h"

namespace coppice::runtime {
namespace {

Bytes file_of_input(std::span<const std::uint8_t> input) {
  if (input.size() > 2 && input[0] != 'C') {
    const std::size_t length = input[1] + std::size_t{256} * input[2];
    const auto streams = input.subspan(3, std::min(input.size() - 3, length));
    const auto body = input.subspan(3 + streams.size());
    return stored_file({body.begin(), body.end()}, {streams.begin(), streams.end()});
  }
  Bytes file(input.begin(), input.end());
  file.resize(file.size() + kSealBytes);
  return sealed(std::move(file));
}

// Throws ModelError for what does not read.
void read_and_run(std::span<const std::uint8_t> input) {
  const Program program = read_cpk(file_of_input(input), "fuzz");
  if (!(read_cpk(write_cpk(program), "written") == program)) __builtin_trap();
  if (work_of(program) > 1'000'000) return;
  Engine engine(program);
  Interpreter interpreter(program);
  const std::vector<float> sample(static_cast<std::size_t>(interpreter.sample_size()), 0.75F);
  std::vector<float> logits(static_cast<std::size_t>(interpreter.logit_count()));
  interpreter.run(sample, logits);
  engine.run(sample, logits);
}

}  // namespace
}  // namespace coppice::runtime

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    coppice::runtime::read_and_run({data, size});
  } catch (const coppice::runtime::ModelError&) {
  }
  return 0;
}
