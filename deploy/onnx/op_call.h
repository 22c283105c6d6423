#pragma once
// One node of a Graph on its way into an ONNX graph. Internal to deploy/onnx. An operation is a
// function write_NAME for every line NAME of core/ops.def whose onnx cell says `yes`, so a claim
// without an implementation does not link. It returns the name of the node's output tensor.

#include <span>    // for span
#include <string>  // for string
#include <vector>  // for vector

#include "core/graph.h"
#include "deploy/onnx/graph_writer.h"

namespace coppice::onnx_export {

struct OpCall {
  GraphWriter& writer;
  const Node& node;
  std::span<const std::string> inputs;      // tensors
  std::span<const Shape> input_shapes;      // of one sample
  std::span<const std::string> parameters;  // fp32 tensors of the node, in its order

  // A name for an intermediate tensor or a constant of the node: "conv1/stem".
  std::string part(const std::string& stem) const { return node.name + "/" + stem; }
};

#define COPPICE_ONNX_yes(name) std::string write_##name(const OpCall& call);
#define COPPICE_ONNX_not_yet(name)
#define COPPICE_OP(name, coupling, onnx, runtime) COPPICE_ONNX_##onnx(name)
#include "core/ops.def"
#undef COPPICE_OP
#undef COPPICE_ONNX_yes
#undef COPPICE_ONNX_not_yet

// write_NAME of `op`; null if core/ops.def says `not_yet`.
using OpWriter = std::string (*)(const OpCall&);
OpWriter writer_of(OpKind op);

}  // namespace coppice::onnx_export
