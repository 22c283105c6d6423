// libFuzzer target of the ONNX import; not part of the build. What is imported is a sound
// checkpoint, and what to_onnx() writes of it is imported again. From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -DONNX_ML=1 -DONNX_NAMESPACE=onnx
//     -fsanitize=fuzzer,address,undefined tests/fuzz/import_fuzz.cpp
//     deploy/onnx/{export,graph_writer,import,quantized,summary,wire}.cpp deploy/onnx/import/*.cpp
//     deploy/onnx/ops/*.cpp algorithms/{fold,quantize}.cpp core/*.cpp core/ops/*.cpp -lonnx_proto
//     -lprotobuf -o /tmp/import_fuzz
//   /tmp/import_fuzz -max_len=16384 CORPUS tests/golden/onnx
// tests/fuzz/onnx_corpus.cpp makes the CORPUS.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "deploy/onnx/export.h"
#include "deploy/onnx/import.h"

namespace {

using namespace coppice;

// Dropout is not there in a file, and a network of nothing else is none.
bool is_only_dropout(const Graph& graph) {
  return std::ranges::all_of(graph.layers(),
                             [](const LayerSpec& layer) { return layer.op == "dropout"; });
}

void check(const Checkpoint& checkpoint) {
  if (model_sha256(checkpoint_from_bytes(to_bytes(checkpoint), "written")) !=
      model_sha256(checkpoint)) {
    __builtin_trap();
  }
  std::vector<std::uint8_t> file;
  try {
    file = to_onnx(checkpoint, {.version = "1", .metadata = {}});
  } catch (const Error&) {  // of a bias that has no code, for example
    return;
  }
  if (!is_only_dropout(checkpoint.graph)) from_onnx(file, "again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  Checkpoint checkpoint;
  try {
    checkpoint = from_onnx(std::span(bytes, size), "fuzz");
  } catch (const DataError&) {
    return 0;
  }
  if (checkpoint.graph.parameter_count() < 1'000'000) check(checkpoint);
  return 0;
}
