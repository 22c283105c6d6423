// libFuzzer target of the ONNX reader; not part of the build. From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -DONNX_ML=1 -DONNX_NAMESPACE=onnx
//     -fsanitize=fuzzer,address,undefined
//     tests/fuzz/onnx_fuzz.cpp deploy/onnx/{summary,wire}.cpp core/digest.cpp core/error.cpp
//     core/text.cpp -lonnx_proto -lprotobuf -o /tmp/onnx_fuzz && /tmp/onnx_fuzz -max_len=4096
//     CORPUS
// tests/fuzz/onnx_corpus.cpp makes the CORPUS.

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "deploy/onnx/summary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  try {
    const coppice::OnnxSummary summary = coppice::read_onnx(std::span(bytes, size), "fuzz");
    if (summary.is_ours != summary.metadata.contains("coppice.content_sha256")) __builtin_trap();
  } catch (const coppice::DataError&) {
  }
  return 0;
}
