#pragma once
// A network from an ONNX file, whoever wrote it: the operations that to_onnx() writes, and the
// forms in which PyTorch and onnxruntime's quantizer say the same (docs/formats.md lists them).
// Reads bytes of unknown origin; memory stays below a small multiple of the file's size. Pure
// function of its arguments; any thread.

#include <cstdint>      // for uint8_t
#include <span>         // for span
#include <string_view>  // for string_view

#include "core/checkpoint.h"

namespace coppice {

// The network with its weights: fp32, or of a QDQ file the quantization plan and, as weights, codes
// times scales, which have the same codes. A file of to_onnx() gives back names, rounds, labels and
// provenance; what the exporter left out (dropout, a folded batch_norm) is not there. A layer is
// named after its weight ("conv1.weight") or its node.
//
// Throws DataError "`what`: ..." for bytes that are no sound ONNX file (read_onnx() in summary.h),
// for tensors in other files and for what the graph of core/graph.h cannot say, naming the node,
// the attribute, what was expected and what is there; KernelError if has_onnx() is false.
Checkpoint from_onnx(std::span<const std::uint8_t> bytes, std::string_view what);

}  // namespace coppice
