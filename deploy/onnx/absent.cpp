// What a build without libonnx-dev and libprotobuf-dev has instead of ONNX.

#include "core/error.h"
#include "deploy/onnx/export.h"
#include "deploy/onnx/import.h"
#include "deploy/onnx/summary.h"

namespace coppice {
namespace {

[[noreturn]] void fail() {
  throw KernelError(
      "this build has no ONNX: libonnx-dev and libprotobuf-dev were missing when it was made");
}

}  // namespace

bool has_onnx() { return false; }

std::vector<std::uint8_t> to_onnx(const Checkpoint&, const OnnxOptions&) { fail(); }

Checkpoint from_onnx(std::span<const std::uint8_t>, std::string_view) { fail(); }

OnnxSummary read_onnx(std::span<const std::uint8_t>, std::string_view) { fail(); }

}  // namespace coppice
