#pragma once
// Builds an ONNX graph node by node and hands out tensor names that are never used twice. Internal
// to deploy/onnx. Owns the message; not thread-safe.

#include <cstdint>           // for int64_t
#include <initializer_list>  // for initializer_list
#include <memory>            // for unique_ptr
#include <set>               // for set
#include <span>              // for span
#include <string>            // for string
#include <string_view>       // for string_view
#include <utility>           // for pair
#include <variant>           // for variant
#include <vector>            // for vector

#include "core/graph.h"

namespace onnx {
class GraphProto;
class TensorProto;
}  // namespace onnx

namespace coppice::onnx_export {

using AttributeValue = std::variant<std::int64_t, float, std::vector<std::int64_t>>;
using NamedAttribute = std::pair<std::string_view, AttributeValue>;

class GraphWriter {
 public:
  explicit GraphWriter(const std::string& graph_name);
  ~GraphWriter();
  GraphWriter(const GraphWriter&) = delete;
  GraphWriter& operator=(const GraphWriter&) = delete;

  // `wanted`, or with a number behind it if that is taken. Marks it as taken.
  std::string unique_name(const std::string& wanted);

  // A free batch dimension, then `sample`.
  void add_input(const std::string& name, ElementType type, const Shape& sample);
  void add_output(const std::string& name, const Shape& sample);

  // Appends a node with one output and returns the output's name: `name`, made unique.
  std::string node(std::string_view op, const std::string& name,
                   const std::vector<std::string>& inputs,
                   std::initializer_list<NamedAttribute> attributes = {});

  // Constants of a shape ({}: a scalar); the result is the name, made unique.
  std::string constant(const std::string& name, const Shape& shape, std::span<const float> values);
  std::string constant(const std::string& name, const Shape& shape,
                       std::span<const std::int64_t> values);
  std::string constant(const std::string& name, const Shape& shape,
                       std::span<const std::int32_t> values);
  std::string constant(const std::string& name, const Shape& shape,
                       std::span<const std::int8_t> values);
  std::string constant(const std::string& name, const Shape& shape,
                       std::span<const std::uint8_t> values);
  std::string scalar(const std::string& name, float value);
  void remark(const std::string& doc_string);  // on the constant that was added last
  std::string shape_constant(const std::string& name, const Shape& values);  // int64 vector

  // Makes `tensor` the graph's output: renames it if the last node computes it, else copies it.
  void finish(const std::string& tensor, const std::string& output);

  const onnx::GraphProto& graph() const { return *graph_; }

 private:
  onnx::TensorProto& add_initializer(const std::string& name, const Shape& shape);

  std::unique_ptr<onnx::GraphProto> graph_;
  std::set<std::string> names_;
};

}  // namespace coppice::onnx_export
