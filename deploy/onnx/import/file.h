#pragma once
// The graph of an ONNX file as views into its bytes. Internal to deploy/onnx. Plain values that
// live no longer than the bytes; any thread.

#include <cstdint>      // for int64_t
#include <map>          // for map
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"

namespace coppice::onnx_import {

using Bytes = std::span<const std::uint8_t>;

// A tensor as it is stored; which of the fields holds its values depends on the writer.
struct FileTensor {
  std::string_view name;
  std::int64_t type = 0;  // onnx::TensorProto::DataType
  Shape dims;
  Bytes raw;
  Bytes floats;                        // packed
  std::vector<std::int64_t> integers;  // int32_data or int64_data
  std::string_view remark;             // doc_string
  bool is_external = false;            // its values lie in another file
};

struct FileAttribute {
  std::string_view name;
  std::int64_t type = 0;  // onnx::AttributeProto::AttributeType
  std::int64_t integer = 0;
  float real = 0.0F;
  std::string_view text;
  std::vector<std::int64_t> integers;
  std::optional<FileTensor> tensor;
};

struct FileNode {
  std::string_view name;
  std::string_view op;
  std::string_view domain;
  std::vector<std::string_view> inputs;  // "": left out
  std::vector<std::string_view> outputs;
  std::vector<FileAttribute> attributes;
};

struct FileGraph {
  std::vector<FileNode> nodes;
  std::map<std::string_view, FileTensor> initializers;
};

// `bytes` is a file that read_onnx() takes. Throws DataError for damaged messages, more than 65,536
// nodes, tensors, attributes or inputs of a node, and two initializers of one name.
FileGraph read_graph(Bytes bytes);

// "node 'conv1' (Conv)"; a node without a name has that of its first output.
std::string describe_node(const FileNode& node);

// The values, of FLOAT and DOUBLE tensors, or of integers. Throw DataError naming the tensor for
// another type, values that lie in another file, and another number of values than dims say.
std::vector<float> float_values(const FileTensor& tensor);
std::vector<std::int64_t> integer_values(const FileTensor& tensor);  // INT8, UINT8, INT32, INT64

bool is_real(const FileTensor& tensor);     // FLOAT or DOUBLE
bool is_integer(const FileTensor& tensor);  // one that integer_values() reads

// Throws DataError unless every axis is in 0..2^24 and the product at most 2^31.
std::int64_t tensor_size(const FileTensor& tensor);

}  // namespace coppice::onnx_import
