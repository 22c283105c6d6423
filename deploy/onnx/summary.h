#pragma once
// What is in an ONNX file, whoever wrote it: for `coppice inspect` and for checking our own files
// before they are trusted. Reads bytes of unknown origin; nothing is built but the lists below, so
// memory stays below a small multiple of the file's size. Any thread.

#include <cstdint>      // for int64_t
#include <map>          // for map
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"

namespace coppice {

struct OnnxNode {
  std::string name;
  std::string op;      // "Conv"
  std::string domain;  // empty: ONNX's own operators

  friend bool operator==(const OnnxNode&, const OnnxNode&) = default;
};

// An input, an output or an initializer.
struct OnnxTensor {
  std::string name;
  std::string element_type;  // "FLOAT", "INT8", ... as onnx.proto names them; "7000" if it does not
  Shape shape;               // -1: symbolic
  std::int64_t bytes = 0;    // of data in the file; 0 of inputs and outputs

  friend bool operator==(const OnnxTensor&, const OnnxTensor&) = default;
};

struct OnnxSummary {
  bool is_ours = false;  // written by to_onnx(), and the graph's SHA-256 is the stored one
  std::int64_t ir_version = 0;
  std::int64_t opset = 0;  // of ONNX's own operators; 0 if the file does not say
  std::string producer;    // "coppice"
  std::string producer_version;
  std::map<std::string, std::string> metadata;
  std::vector<OnnxTensor> inputs;
  std::vector<OnnxTensor> outputs;
  std::vector<OnnxNode> nodes;           // in the file's order; not those of nested graphs
  std::vector<OnnxTensor> initializers;  // in the file's order
};

// Throws DataError "`what`: ..." for bytes that are no ONNX model (at most 1 GiB, 1,000,000 entries
// and 64 messages in one another) and for a file of ours whose graph does not have its SHA-256;
// KernelError if has_onnx() is false.
OnnxSummary read_onnx(std::span<const std::uint8_t> bytes, std::string_view what);

}  // namespace coppice
