// Walks the file with protobuf's own wire reader instead of building its messages: two bytes of a
// hostile file can become hundreds in memory there.

#include "deploy/onnx/summary.h"

#include <onnx/onnx_pb.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/onnx/names.h"
#include "deploy/onnx/wire.h"

namespace coppice {
namespace onnx_export {
namespace {

using onnx_wire::element_type_name;
using onnx_wire::Field;
using onnx_wire::for_each_field;
using onnx_wire::for_each_packed;

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;
constexpr std::size_t kMaxEntries = 1'000'000;
constexpr std::size_t kMaxRank = 64;

void check_count(std::size_t count, const char* what) {
  if (count > kMaxEntries) throw DataError(text("more than ", kMaxEntries, " ", what));
}

void add_axis(OnnxTensor& tensor, std::int64_t axis) {
  if (tensor.shape.size() == kMaxRank)
    throw DataError(text("tensor of more than ", kMaxRank, " axes"));
  tensor.shape.push_back(axis);
}

void add_packed_axes(OnnxTensor& tensor, std::span<const std::uint8_t> bytes) {
  for_each_packed(bytes, "TensorProto", [&](std::int64_t axis) { add_axis(tensor, axis); });
}

OnnxTensor read_initializer(std::span<const std::uint8_t> bytes) {
  using onnx::TensorProto;
  OnnxTensor out;
  std::int64_t type = 0;
  for_each_field(bytes, "TensorProto", [&](const Field& field) {
    if (field.is_number(TensorProto::kDimsFieldNumber)) add_axis(out, field.integer());
    if (field.is_bytes(TensorProto::kDimsFieldNumber)) add_packed_axes(out, field.bytes);
    if (field.is_number(TensorProto::kDataTypeFieldNumber)) type = field.integer();
    if (field.is_bytes(TensorProto::kNameFieldNumber)) out.name = field.text();
    for (const int data : {TensorProto::kRawDataFieldNumber, TensorProto::kFloatDataFieldNumber,
                           TensorProto::kInt32DataFieldNumber, TensorProto::kInt64DataFieldNumber,
                           TensorProto::kStringDataFieldNumber, TensorProto::kDoubleDataFieldNumber,
                           TensorProto::kUint64DataFieldNumber}) {
      if (field.is_bytes(data)) out.bytes += static_cast<std::int64_t>(field.bytes.size());
    }
  });
  out.element_type = element_type_name(type);
  return out;
}

// ValueInfoProto.type.tensor_type: an element type and a shape of fixed or named axes.
void read_tensor_type(std::span<const std::uint8_t> bytes, OnnxTensor& out) {
  using Type = onnx::TypeProto_Tensor;
  using Axis = onnx::TensorShapeProto_Dimension;
  for_each_field(bytes, "TypeProto.Tensor", [&](const Field& field) {
    if (field.is_number(Type::kElemTypeFieldNumber))
      out.element_type = element_type_name(field.integer());
    if (!field.is_bytes(Type::kShapeFieldNumber)) return;
    for_each_field(field.bytes, "TensorShapeProto", [&](const Field& axis) {
      if (!axis.is_bytes(onnx::TensorShapeProto::kDimFieldNumber)) return;
      std::int64_t size = -1;
      for_each_field(axis.bytes, "TensorShapeProto.Dimension", [&](const Field& part) {
        if (part.is_number(Axis::kDimValueFieldNumber)) size = part.integer();
      });
      add_axis(out, size);
    });
  });
}

OnnxTensor read_value(std::span<const std::uint8_t> bytes) {
  OnnxTensor out{.name = {}, .element_type = element_type_name(0), .shape = {}};
  for_each_field(bytes, "ValueInfoProto", [&](const Field& field) {
    if (field.is_bytes(onnx::ValueInfoProto::kNameFieldNumber)) out.name = field.text();
    if (!field.is_bytes(onnx::ValueInfoProto::kTypeFieldNumber)) return;
    for_each_field(field.bytes, "TypeProto", [&](const Field& type) {
      if (type.is_bytes(onnx::TypeProto::kTensorTypeFieldNumber)) read_tensor_type(type.bytes, out);
    });
  });
  return out;
}

OnnxNode read_node(std::span<const std::uint8_t> bytes) {
  OnnxNode out;
  for_each_field(bytes, "NodeProto", [&](const Field& field) {
    if (field.is_bytes(onnx::NodeProto::kNameFieldNumber)) out.name = field.text();
    if (field.is_bytes(onnx::NodeProto::kOpTypeFieldNumber)) out.op = field.text();
    if (field.is_bytes(onnx::NodeProto::kDomainFieldNumber)) out.domain = field.text();
  });
  return out;
}

void read_graph(std::span<const std::uint8_t> bytes, OnnxSummary& out) {
  using onnx::GraphProto;
  for_each_field(bytes, "GraphProto", [&](const Field& field) {
    if (field.is_bytes(GraphProto::kNodeFieldNumber)) out.nodes.push_back(read_node(field.bytes));
    if (field.is_bytes(GraphProto::kInitializerFieldNumber))
      out.initializers.push_back(read_initializer(field.bytes));
    if (field.is_bytes(GraphProto::kInputFieldNumber))
      out.inputs.push_back(read_value(field.bytes));
    if (field.is_bytes(GraphProto::kOutputFieldNumber))
      out.outputs.push_back(read_value(field.bytes));
    check_count(out.nodes.size(), "nodes");
    check_count(out.initializers.size(), "initializers");
    check_count(out.inputs.size() + out.outputs.size(), "inputs and outputs");
  });
}

void read_opset(std::span<const std::uint8_t> bytes, OnnxSummary& out) {
  std::string domain;
  std::int64_t version = 0;
  for_each_field(bytes, "OperatorSetIdProto", [&](const Field& field) {
    if (field.is_bytes(onnx::OperatorSetIdProto::kDomainFieldNumber)) domain = field.text();
    if (field.is_number(onnx::OperatorSetIdProto::kVersionFieldNumber)) version = field.integer();
  });
  if (domain.empty() || domain == "ai.onnx") out.opset = version;
}

void read_metadata(std::span<const std::uint8_t> bytes, OnnxSummary& out) {
  std::string key;
  std::string value;
  for_each_field(bytes, "StringStringEntryProto", [&](const Field& field) {
    if (field.is_bytes(onnx::StringStringEntryProto::kKeyFieldNumber)) key = field.text();
    if (field.is_bytes(onnx::StringStringEntryProto::kValueFieldNumber)) value = field.text();
  });
  out.metadata[std::move(key)] = std::move(value);
  check_count(out.metadata.size(), "metadata entries");
}

// Returns the graph's bytes.
std::span<const std::uint8_t> read_model(std::span<const std::uint8_t> bytes, OnnxSummary& out) {
  using onnx::ModelProto;
  std::span<const std::uint8_t> graph;
  bool has_graph = false;
  for_each_field(bytes, "ModelProto", [&](const Field& field) {
    if (field.is_number(ModelProto::kIrVersionFieldNumber)) out.ir_version = field.integer();
    if (field.is_bytes(ModelProto::kProducerNameFieldNumber)) out.producer = field.text();
    if (field.is_bytes(ModelProto::kProducerVersionFieldNumber))
      out.producer_version = field.text();
    if (field.is_bytes(ModelProto::kOpsetImportFieldNumber)) read_opset(field.bytes, out);
    if (field.is_bytes(ModelProto::kMetadataPropsFieldNumber)) read_metadata(field.bytes, out);
    if (field.is_bytes(ModelProto::kGraphFieldNumber)) {
      if (has_graph) throw DataError("two graphs");
      has_graph = true;
      graph = field.bytes;
      read_graph(graph, out);
    }
  });
  if (out.ir_version < 1 || !has_graph)
    throw DataError("expected an ONNX model, there is no IR version or no graph");
  return graph;
}

// A file that says it is ours must prove it.
bool check_content(const OnnxSummary& summary, std::span<const std::uint8_t> graph) {
  const auto found = summary.metadata.find(std::string(kContentKey));
  if (found == summary.metadata.end()) {
    if (summary.producer == kProducer)
      throw DataError(text("made by ", kProducer, ", but there is no ", kContentKey));
    return false;
  }
  const std::string hash = sha256_hex(graph);
  if (hash != found->second) {
    throw DataError(
        text("the graph's SHA-256 is ", hash, ", the file says ", found->second.substr(0, 64)));
  }
  return true;
}

}  // namespace
}  // namespace onnx_export

OnnxSummary read_onnx(std::span<const std::uint8_t> bytes, std::string_view what) {
  try {
    if (bytes.size() > onnx_export::kMaxBytes)
      throw DataError(text(bytes.size(), " bytes, at most ", onnx_export::kMaxBytes, " are read"));
    OnnxSummary out;
    const auto graph = onnx_export::read_model(bytes, out);
    out.is_ours = onnx_export::check_content(out, graph);
    return out;
  } catch (const DataError&) {
    std::throw_with_nested(DataError(text(what, ": not a sound ONNX file")));
  }
}

}  // namespace coppice
