#include "deploy/onnx/graph_writer.h"

#include <onnx/onnx_pb.h>

#include <bit>  // for endian

namespace coppice::onnx_export {
namespace {

using onnx::TensorProto;

// ONNX stores raw tensors little-endian, as core/digest.h and the other formats assume too.
static_assert(std::endian::native == std::endian::little);

template <typename Value>
void set_values(TensorProto& tensor, onnx::TensorProto_DataType type,
                std::span<const Value> values) {
  tensor.set_data_type(type);
  tensor.set_raw_data(values.data(), values.size_bytes());
}

void describe_value(onnx::ValueInfoProto& value, const std::string& name,
                    onnx::TensorProto_DataType type, const Shape& sample) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  tensor.mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::int64_t axis : sample) tensor.mutable_shape()->add_dim()->set_dim_value(axis);
}

void set_attribute(onnx::AttributeProto& attribute, const AttributeValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(*integer);
  } else if (const auto* real = std::get_if<float>(&value)) {
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(*real);
  } else {
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t one : std::get<std::vector<std::int64_t>>(value))
      attribute.add_ints(one);
  }
}

}  // namespace

GraphWriter::GraphWriter(const std::string& graph_name)
    : graph_(std::make_unique<onnx::GraphProto>()) {
  graph_->set_name(graph_name);
}

GraphWriter::~GraphWriter() = default;

std::string GraphWriter::unique_name(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !names_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
  return name;
}

void GraphWriter::add_input(const std::string& name, ElementType type, const Shape& sample) {
  describe_value(*graph_->add_input(), name,
                 type == ElementType::kInt32 ? TensorProto::INT32 : TensorProto::FLOAT, sample);
}

void GraphWriter::add_output(const std::string& name, const Shape& sample) {
  describe_value(*graph_->add_output(), name, TensorProto::FLOAT, sample);
}

std::string GraphWriter::node(std::string_view op, const std::string& name,
                              const std::vector<std::string>& inputs,
                              std::initializer_list<NamedAttribute> attributes) {
  onnx::NodeProto& node = *graph_->add_node();
  std::string output = unique_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  node.set_name(output);
  node.set_op_type(std::string(op));
  for (const auto& [attribute_name, value] : attributes) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(std::string(attribute_name));
    set_attribute(attribute, value);
  }
  return output;
}

TensorProto& GraphWriter::add_initializer(const std::string& name, const Shape& shape) {
  TensorProto& tensor = *graph_->add_initializer();
  tensor.set_name(unique_name(name));
  for (const std::int64_t axis : shape) tensor.add_dims(axis);
  return tensor;
}

std::string GraphWriter::constant(const std::string& name, const Shape& shape,
                                  std::span<const float> values) {
  TensorProto& tensor = add_initializer(name, shape);
  set_values(tensor, TensorProto::FLOAT, values);
  return tensor.name();
}

std::string GraphWriter::constant(const std::string& name, const Shape& shape,
                                  std::span<const std::int64_t> values) {
  TensorProto& tensor = add_initializer(name, shape);
  set_values(tensor, TensorProto::INT64, values);
  return tensor.name();
}

std::string GraphWriter::constant(const std::string& name, const Shape& shape,
                                  std::span<const std::int32_t> values) {
  TensorProto& tensor = add_initializer(name, shape);
  set_values(tensor, TensorProto::INT32, values);
  return tensor.name();
}

std::string GraphWriter::constant(const std::string& name, const Shape& shape,
                                  std::span<const std::int8_t> values) {
  TensorProto& tensor = add_initializer(name, shape);
  set_values(tensor, TensorProto::INT8, values);
  return tensor.name();
}

std::string GraphWriter::constant(const std::string& name, const Shape& shape,
                                  std::span<const std::uint8_t> values) {
  TensorProto& tensor = add_initializer(name, shape);
  set_values(tensor, TensorProto::UINT8, values);
  return tensor.name();
}

std::string GraphWriter::scalar(const std::string& name, float value) {
  return constant(name, {}, std::span<const float>(&value, 1));
}

void GraphWriter::remark(const std::string& doc_string) {
  graph_->mutable_initializer(graph_->initializer_size() - 1)->set_doc_string(doc_string);
}

std::string GraphWriter::shape_constant(const std::string& name, const Shape& values) {
  return constant(name, {static_cast<std::int64_t>(values.size())},
                  std::span<const std::int64_t>(values));
}

void GraphWriter::finish(const std::string& tensor, const std::string& output) {
  const int count = graph_->node_size();
  if (count > 0 && graph_->node(count - 1).output(0) == tensor) {
    graph_->mutable_node(count - 1)->set_output(0, output);
  } else {
    node("Identity", "logits/copy", {tensor});
    graph_->mutable_node(count)->set_output(0, output);
  }
}

}  // namespace coppice::onnx_export
