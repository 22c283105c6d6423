// libFuzzer target of the safetensors reader and of checkpoints; not part of the build. From the
// root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined
//     tests/fuzz/checkpoint_fuzz.cpp core/*.cpp core/ops/*.cpp -o /tmp/checkpoint_fuzz
//   /tmp/checkpoint_fuzz -max_len=8192 CORPUS
// The CORPUS: model/model.safetensors of small runs, for example of configs/digits_mlp.yaml with
// model.hidden=[4] and compress.quantize.bits=8.

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/checkpoint.h"
#include "core/error.h"
#include "core/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace coppice;
  const std::span<const std::uint8_t> input(bytes, size);
  try {
    const TensorFile file = read_safetensors(input, "fuzz");
    const std::vector<std::uint8_t> written = write_safetensors(file);
    if (write_safetensors(read_safetensors(written, "written")) != written) __builtin_trap();
  } catch (const DataError&) {
    return 0;
  }
  try {
    const Checkpoint checkpoint = checkpoint_from_bytes(input, "fuzz");
    if (model_sha256(checkpoint_from_bytes(to_bytes(checkpoint), "written")) !=
        model_sha256(checkpoint)) {
      __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
