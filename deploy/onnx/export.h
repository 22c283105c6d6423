#pragma once
// A checkpoint as an ONNX file (opset 17, IR 8) that other runtimes run: fp32, or with a
// quantization plan the same integers in QDQ form. Pure functions of their arguments; any thread.
// Linking needs ONNX's message classes; a build without them has has_onnx() == false.
//
// The file's one input "input" is float32 [batch, sample...] (images NCHW in [0, 1]: the
// normalization is part of the model) or int32 ids [batch, steps]; its one output "logits" is
// float32 [batch, classes] or [batch, steps, classes]; `batch` is free. Tensors carry the names of
// the graph's nodes and parameters. docs/formats.md describes the rest.

#include <cstdint>  // for uint8_t
#include <map>      // for map
#include <string>   // for string
#include <vector>   // for vector

#include "core/checkpoint.h"

namespace coppice {

struct OnnxOptions {
  std::string version;                          // of Coppice; becomes producer_version
  std::map<std::string, std::string> metadata;  // further entries, kept under "coppice.<key>"
};

// Whether this build can write and read ONNX.
bool has_onnx();

// The file. Without a plan a batch_norm behind a convolution is folded into it
// (algorithms/fold.h); masked weights are zeros. Deterministic: equal arguments, equal bytes.
// Throws ConfigError naming the node for an operation whose onnx cell in core/ops.def says
// `not_yet`, and for a model above ONNX's 2 GiB; DataError for parameters that do not fit the graph
// or the plan; KernelError if has_onnx() is false.
std::vector<std::uint8_t> to_onnx(const Checkpoint& checkpoint, const OnnxOptions& options);

}  // namespace coppice
