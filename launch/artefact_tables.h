#pragma once
// What is in an artefact, as tables for people and JSON for scripts: a .cpk and an ONNX file. Pure.

#include <string>  // for string

#include "core/json.h"
#include "deploy/onnx/summary.h"
#include "deploy/runtime/program.h"
#include "launch/layer_uses.h"

namespace coppice {

// One row a node: operation, shape of the output and the grid of its codes (none: fp32, or nothing
// at all where the next node is folded into it), layout of the weights, bits and bytes of the
// parameters, share of time; a
// row of totals at the end. `program` is a valid one and `uses` are its.
std::string program_table(const runtime::Program& program, const LayerUses& uses);
// {layers: [...], total: {stored_bytes}}.
Json program_json(const runtime::Program& program, const LayerUses& uses);

// Facts, nodes counted by operation, inputs, outputs and initializers.
std::string onnx_text(const OnnxSummary& summary);
// The same, with every node.
Json onnx_json(const OnnxSummary& summary);

}  // namespace coppice
