#include "deploy/onnx/import/file.h"

#include <onnx/onnx_pb.h>

#include <cstring>  // for memcpy

#include "core/error.h"
#include "core/text.h"
#include "deploy/onnx/wire.h"

namespace coppice::onnx_import {
namespace {

using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::NodeProto;
using onnx::TensorProto;
using onnx_wire::Field;
using onnx_wire::for_each_field;
using onnx_wire::for_each_packed;

constexpr std::size_t kMaxEntries = 65'536;
constexpr std::size_t kMaxRank = 8;
constexpr std::int64_t kMaxAxis = std::int64_t{1} << 24;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;

void check_count(std::size_t count, const char* what) {
  if (count > kMaxEntries) throw DataError(text("more than ", kMaxEntries, " ", what));
}

// A repeated number, packed or not.
void add_integers(const Field& field, int number, const char* message,
                  std::vector<std::int64_t>& out) {
  if (field.is_number(number)) out.push_back(field.integer());
  if (field.is_bytes(number)) {
    for_each_packed(field.bytes, message, [&](std::int64_t value) { out.push_back(value); });
  }
}

FileTensor read_tensor(Bytes bytes) {
  FileTensor out;
  for_each_field(bytes, "TensorProto", [&](const Field& field) {
    add_integers(field, TensorProto::kDimsFieldNumber, "TensorProto", out.dims);
    add_integers(field, TensorProto::kInt32DataFieldNumber, "TensorProto", out.integers);
    add_integers(field, TensorProto::kInt64DataFieldNumber, "TensorProto", out.integers);
    if (field.is_number(TensorProto::kDataTypeFieldNumber)) out.type = field.integer();
    if (field.is_number(TensorProto::kDataLocationFieldNumber))
      out.is_external |= field.integer() == TensorProto::EXTERNAL;
    if (field.is_bytes(TensorProto::kExternalDataFieldNumber)) out.is_external = true;
    if (field.is_bytes(TensorProto::kNameFieldNumber)) out.name = field.view();
    if (field.is_bytes(TensorProto::kDocStringFieldNumber)) out.remark = field.view();
    if (field.is_bytes(TensorProto::kRawDataFieldNumber)) out.raw = field.bytes;
    if (field.is_bytes(TensorProto::kFloatDataFieldNumber) ||
        field.is_bytes(TensorProto::kDoubleDataFieldNumber)) {
      out.floats = field.bytes;
    }
    if (out.dims.size() > kMaxRank)
      throw DataError(text("tensor of more than ", kMaxRank, " axes"));
  });
  return out;
}

FileAttribute read_attribute(Bytes bytes) {
  FileAttribute out;
  for_each_field(bytes, "AttributeProto", [&](const Field& field) {
    if (field.is_bytes(AttributeProto::kNameFieldNumber)) out.name = field.view();
    if (field.is_number(AttributeProto::kTypeFieldNumber)) out.type = field.integer();
    if (field.is_number(AttributeProto::kIFieldNumber)) out.integer = field.integer();
    if (field.is_real(AttributeProto::kFFieldNumber)) out.real = field.real();
    if (field.is_bytes(AttributeProto::kSFieldNumber)) out.text = field.view();
    if (field.is_bytes(AttributeProto::kTFieldNumber)) out.tensor = read_tensor(field.bytes);
    add_integers(field, AttributeProto::kIntsFieldNumber, "AttributeProto", out.integers);
    check_count(out.integers.size(), "numbers in an attribute");
  });
  return out;
}

FileNode read_node(Bytes bytes) {
  FileNode out;
  for_each_field(bytes, "NodeProto", [&](const Field& field) {
    if (field.is_bytes(NodeProto::kNameFieldNumber)) out.name = field.view();
    if (field.is_bytes(NodeProto::kOpTypeFieldNumber)) out.op = field.view();
    if (field.is_bytes(NodeProto::kDomainFieldNumber)) out.domain = field.view();
    if (field.is_bytes(NodeProto::kInputFieldNumber)) out.inputs.push_back(field.view());
    if (field.is_bytes(NodeProto::kOutputFieldNumber)) out.outputs.push_back(field.view());
    if (field.is_bytes(NodeProto::kAttributeFieldNumber))
      out.attributes.push_back(read_attribute(field.bytes));
    check_count(out.inputs.size() + out.outputs.size(), "tensors of a node");
    check_count(out.attributes.size(), "attributes of a node");
  });
  return out;
}

FileGraph read_graph_message(Bytes bytes) {
  FileGraph out;
  for_each_field(bytes, "GraphProto", [&](const Field& field) {
    if (field.is_bytes(GraphProto::kNodeFieldNumber)) out.nodes.push_back(read_node(field.bytes));
    if (field.is_bytes(GraphProto::kInitializerFieldNumber)) {
      FileTensor tensor = read_tensor(field.bytes);
      const std::string_view name = tensor.name;
      if (!out.initializers.emplace(name, std::move(tensor)).second)
        throw DataError(text("two initializers are named '", name, "'"));
    }
    check_count(out.nodes.size(), "nodes");
    check_count(out.initializers.size(), "initializers");
  });
  return out;
}

[[noreturn]] void fail_tensor(const FileTensor& tensor, const std::string& why) {
  throw DataError(text("tensor '", tensor.name, "': ", why));
}

[[noreturn]] void fail_count(const FileTensor& tensor, std::size_t got) {
  fail_tensor(tensor, text("expected ", shape_text(tensor.dims), " values of type ",
                           onnx_wire::element_type_name(tensor.type), ", got ", got));
}

void check_here(const FileTensor& tensor) {
  if (!tensor.is_external) return;
  fail_tensor(tensor, "its values lie in another file; save the model with everything in one file");
}

template <typename Value>
std::vector<Value> raw_values(const FileTensor& tensor, Bytes bytes) {
  const std::int64_t count = tensor_size(tensor);
  if (bytes.size() != static_cast<std::size_t>(count) * sizeof(Value))
    fail_count(tensor, bytes.size() / sizeof(Value));
  std::vector<Value> out(static_cast<std::size_t>(count));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

template <typename Stored, typename Value>
std::vector<Value> converted(const FileTensor& tensor, Bytes bytes) {
  const std::vector<Stored> stored = raw_values<Stored>(tensor, bytes);
  std::vector<Value> out;
  out.reserve(stored.size());
  for (const Stored value : stored) out.push_back(static_cast<Value>(value));
  return out;
}

}  // namespace

FileGraph read_graph(Bytes bytes) {
  FileGraph out;
  for_each_field(bytes, "ModelProto", [&](const Field& field) {
    if (field.is_bytes(onnx::ModelProto::kGraphFieldNumber)) out = read_graph_message(field.bytes);
  });
  return out;
}

std::string describe_node(const FileNode& node) {
  std::string_view name = node.name;
  if (name.empty() && !node.outputs.empty()) name = node.outputs.front();
  return text("node '", name.substr(0, 128), "' (", node.op.substr(0, 64), ")");
}

bool is_real(const FileTensor& tensor) {
  return tensor.type == TensorProto::FLOAT || tensor.type == TensorProto::DOUBLE;
}

bool is_integer(const FileTensor& tensor) {
  return tensor.type == TensorProto::INT8 || tensor.type == TensorProto::UINT8 ||
         tensor.type == TensorProto::INT32 || tensor.type == TensorProto::INT64;
}

std::int64_t tensor_size(const FileTensor& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t axis : tensor.dims) {
    if (axis < 0 || axis > kMaxAxis) {
      fail_tensor(tensor, text("axis of ", axis, ", expected 0..", kMaxAxis));
    }
    count *= axis;
    if (count > kMaxElements)
      fail_tensor(tensor, text(shape_text(tensor.dims), " is more than ", kMaxElements, " values"));
  }
  return count;
}

std::vector<float> float_values(const FileTensor& tensor) {
  check_here(tensor);
  if (!is_real(tensor)) {
    fail_tensor(tensor,
                text("expected FLOAT values, got ", onnx_wire::element_type_name(tensor.type)));
  }
  const Bytes bytes = tensor.raw.empty() ? tensor.floats : tensor.raw;
  if (tensor.type == TensorProto::DOUBLE) return converted<double, float>(tensor, bytes);
  return raw_values<float>(tensor, bytes);
}

std::vector<std::int64_t> integer_values(const FileTensor& tensor) {
  check_here(tensor);
  if (!tensor.integers.empty()) {
    if (tensor.integers.size() != static_cast<std::size_t>(tensor_size(tensor)))
      fail_count(tensor, tensor.integers.size());
    return tensor.integers;
  }
  switch (tensor.type) {
    case TensorProto::INT8:
      return converted<std::int8_t, std::int64_t>(tensor, tensor.raw);
    case TensorProto::UINT8:
      return converted<std::uint8_t, std::int64_t>(tensor, tensor.raw);
    case TensorProto::INT32:
      return converted<std::int32_t, std::int64_t>(tensor, tensor.raw);
    case TensorProto::INT64:
      return raw_values<std::int64_t>(tensor, tensor.raw);
    default:
      fail_tensor(tensor,
                  text("expected integers, got ", onnx_wire::element_type_name(tensor.type)));
  }
}

}  // namespace coppice::onnx_import
