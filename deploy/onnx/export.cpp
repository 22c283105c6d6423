#include "deploy/onnx/export.h"

#include <onnx/onnx_pb.h>

#include <limits>  // for numeric_limits

#include "algorithms/fold.h"
#include "algorithms/quantize.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "deploy/onnx/names.h"
#include "deploy/onnx/op_call.h"
#include "deploy/onnx/quantized.h"

namespace coppice {
namespace onnx_export {

OpWriter writer_of(OpKind op) {
#define COPPICE_ONNX_yes(name) write_##name
#define COPPICE_ONNX_not_yet(name) nullptr
  static constexpr OpWriter kWriters[] = {
#define COPPICE_OP(name, coupling, onnx, runtime) COPPICE_ONNX_##onnx(name),
#include "core/ops.def"
#undef COPPICE_OP
  };
#undef COPPICE_ONNX_yes
#undef COPPICE_ONNX_not_yet
  return kWriters[static_cast<std::size_t>(op)];
}

namespace {

constexpr std::int64_t kIrVersion = 8;
constexpr std::int64_t kOpset = 17;
constexpr std::int64_t kMaxParameters = (std::int64_t{1} << 29) - (std::int64_t{1} << 24);

// Walks the graph once; a tensor a node.
class Exporter {
 public:
  Exporter(const Graph& graph, std::span<const float> parameters, const QuantPlan& plan)
      : graph_(graph), parameters_(parameters), plan_(plan), writer_("coppice") {
    writer_.unique_name("input");
    writer_.unique_name("logits");
  }

  const onnx::GraphProto& write() {
    writer_.add_input("input", graph_.input().type, graph_.input().shape);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const std::string tensor = write_node(graph_.nodes()[i]);
      tensors_.push_back(quantized(static_cast<int>(i), tensor));
    }
    writer_.finish(tensors_.back(), "logits");
    writer_.add_output("logits", graph_.output().shape);
    return writer_.graph();
  }

 private:
  std::string write_node(const Node& node) {
    const OpWriter write_op = writer_of(node.op);
    if (write_op == nullptr) {
      throw ConfigError(text("node '", node.name, "': ", op_info(node.op).name,
                             " cannot be exported to ONNX yet"));
    }
    std::vector<std::string> inputs;
    std::vector<Shape> shapes;
    for (const int input : node.inputs) {
      inputs.push_back(tensors_[static_cast<std::size_t>(input)]);
      shapes.push_back(graph_.nodes()[static_cast<std::size_t>(input)].shape);
    }
    if (node.op == OpKind::input) inputs.emplace_back("input");
    std::vector<std::string> parameters;
    for (const int parameter : node.parameters)
      parameters.push_back(write_parameter_of(node, parameter));
    return write_op({writer_, node, inputs, shapes, parameters});
  }

  std::string write_parameter_of(const Node& node, int index) {
    const ParameterSpec& parameter = graph_.parameters()[static_cast<std::size_t>(index)];
    const auto values = parameters_.subspan(static_cast<std::size_t>(parameter.offset),
                                            static_cast<std::size_t>(parameter.size()));
    if (const WeightQuant* quant = plan_.weight(parameter.name))
      return write_weight(writer_, parameter, values, *quant);
    const bool is_matrix_product = node.op == OpKind::conv2d || node.op == OpKind::linear;
    if (is_matrix_product && index != node.parameters.front()) {
      const ParameterSpec& weight =
          graph_.parameters()[static_cast<std::size_t>(node.parameters.front())];
      const WeightQuant* weight_quant = plan_.weight(weight.name);
      const ActivationQuant* input = grid_of(graph_, plan_, node.inputs.front());
      if (weight_quant != nullptr && input != nullptr)
        return write_bias(writer_, parameter, values, input->scale, *weight_quant);
    }
    return write_parameter(writer_, parameter, values);
  }

  // A node that only moves values is followed by its input's grid once more, which changes nothing
  // but lets runtimes move codes instead of floats.
  std::string quantized(int index, const std::string& tensor) {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(index)];
    const ActivationQuant* quant = plan_.activation(node.name);
    const bool is_output = index + 1 == static_cast<int>(graph_.nodes().size());
    if (quant == nullptr && moves_values(node.op) && node.op != OpKind::dropout && !is_output)
      quant = grid_of(graph_, plan_, index);
    return quant == nullptr ? tensor : write_activation(writer_, node.name, tensor, *quant);
  }

  const Graph& graph_;
  std::span<const float> parameters_;
  const QuantPlan& plan_;
  GraphWriter writer_;
  std::vector<std::string> tensors_;  // outputs of the graph's nodes
};

void check_size(const Checkpoint& checkpoint) {
  const std::int64_t count = checkpoint.graph.parameter_count();
  if (static_cast<std::int64_t>(checkpoint.parameters.size()) != count) {
    throw DataError(
        text("checkpoint: expected ", count, " parameters, got ", checkpoint.parameters.size()));
  }
  if (checkpoint.mask && checkpoint.mask->size() != count)
    throw DataError(text("mask: expected ", count, " bits, got ", checkpoint.mask->size()));
  if (count > kMaxParameters) {
    throw ConfigError(text("model: ", count, " parameters do not fit into ONNX's 2 GiB, at most ",
                           kMaxParameters));
  }
}

std::map<std::string, std::string> metadata_of(const Checkpoint& checkpoint,
                                               const OnnxOptions& options) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : options.metadata) out[std::string(kKeyPrefix) + key] = value;
  for (const auto& [key, value] : checkpoint.provenance)
    out[text(kKeyPrefix, "provenance.", key)] = value;
  const std::string prefix(kKeyPrefix);
  out[prefix + "model_sha256"] = model_sha256(checkpoint);
  out[prefix + "round"] = std::to_string(checkpoint.round);
  out[prefix + "mask_epoch"] = std::to_string(checkpoint.mask_epoch);
  Json::Array names;
  for (const std::string& name : checkpoint.graph.input().label_names) names.push_back(name);
  out[prefix + "label_names"] = Json(std::move(names)).dump();
  return out;
}

void add_metadata(onnx::ModelProto& model, const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *model.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

// The content's hash stands last, so that a file that is cut short never has it.
std::vector<std::uint8_t> serialize(const onnx::GraphProto& graph, const Checkpoint& checkpoint,
                                    const OnnxOptions& options) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name(std::string(kProducer));
  model.set_producer_version(options.version);
  model.set_model_version(checkpoint.round);
  model.add_opset_import()->set_version(kOpset);
  *model.mutable_graph() = graph;
  std::map<std::string, std::string> metadata = metadata_of(checkpoint, options);
  metadata.erase(std::string(kContentKey));
  for (const auto& [key, value] : metadata) add_metadata(model, key, value);
  add_metadata(model, std::string(kContentKey), sha256_hex(graph.SerializeAsString()));
  std::vector<std::uint8_t> out(model.ByteSizeLong());
  if (out.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !model.SerializeToArray(out.data(), static_cast<int>(out.size()))) {
    throw ConfigError(text("model: ", out.size(), " bytes do not fit into ONNX's 2 GiB"));
  }
  return out;
}

}  // namespace
}  // namespace onnx_export

bool has_onnx() { return true; }

std::vector<std::uint8_t> to_onnx(const Checkpoint& checkpoint, const OnnxOptions& options) {
  onnx_export::check_size(checkpoint);
  FoldedModel model{checkpoint.graph, checkpoint.parameters};
  if (checkpoint.mask) checkpoint.mask->apply(model.parameters);
  if (checkpoint.plan.is_empty()) model = fold_batch_norm(model.graph, model.parameters);
  onnx_export::Exporter exporter(model.graph, model.parameters, checkpoint.plan);
  return onnx_export::serialize(exporter.write(), checkpoint, options);
}

}  // namespace coppice
