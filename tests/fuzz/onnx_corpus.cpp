// Writes the first inputs of tests/fuzz/{onnx,import}_fuzz.cpp into a folder; not part of the
// build. From the root of the checkout:
//   g++ -std=c++20 -O1 -I. -DONNX_ML=1 -DONNX_NAMESPACE=onnx tests/fuzz/onnx_corpus.cpp
//     deploy/onnx/{export,graph_writer,quantized,summary,wire}.cpp deploy/onnx/ops/*.cpp
//     algorithms/{fold,quantize}.cpp core/*.cpp core/ops/*.cpp -lonnx_proto -lprotobuf
//     -o /tmp/onnx_corpus && mkdir -p CORPUS && /tmp/onnx_corpus CORPUS

#include <fstream>
#include <string>

#include "deploy/onnx/export.h"
#include "tests/deploy_onnx/small_model.h"

namespace {

void write(const std::string& path, const coppice::Checkpoint& checkpoint, bool is_foreign) {
  std::vector<std::uint8_t> bytes = coppice::to_onnx(checkpoint, {.version = "1", .metadata = {}});
  if (is_foreign) {  // "coppice" is nobody's name then, and the hash nobody's key
    for (std::size_t i = 0; i + 7 <= bytes.size(); ++i) {
      if (std::string(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                      bytes.begin() + static_cast<std::ptrdiff_t>(i + 7)) == "coppice")
        bytes[i] = 'k';
    }
  }
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  write(folder + "/plain.onnx", coppice::small_checkpoint(), false);
  write(folder + "/quantized.onnx", coppice::small_quantized_checkpoint(), false);
  write(folder + "/foreign.onnx", coppice::small_checkpoint(), true);
  write(folder + "/foreign_quantized.onnx", coppice::small_quantized_checkpoint(), true);
  return 0;
}
