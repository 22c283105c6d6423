#include "launch/artefact_tables.h"

#include <fmt/core.h>

#include <map>          // for map
#include <optional>     // for optional
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/text.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/inference.h"
#include "launch/tables.h"

namespace coppice {
namespace {

// "?x1x28x28", where -1 is "?".
std::string onnx_shape(const Shape& shape) {
  std::vector<std::string> axes;
  for (const std::int64_t axis : shape) axes.push_back(axis < 0 ? "?" : std::to_string(axis));
  return axes.empty() ? "one value" : join(axes, "x");
}

std::string counted_operations(const OnnxSummary& summary) {
  std::map<std::string, std::int64_t> counts;
  for (const OnnxNode& node : summary.nodes)
    ++counts[node.domain.empty() ? node.op : node.domain + '.' + node.op];
  std::vector<std::string> parts;
  parts.reserve(counts.size());
  for (const auto& [op, count] : counts) parts.push_back(text(count, ' ', op));
  return join(parts);
}

std::int64_t initializer_bytes(const OnnxSummary& summary) {
  std::int64_t sum = 0;
  for (const OnnxTensor& tensor : summary.initializers) sum += tensor.bytes;
  return sum;
}

Json tensors_json(const std::vector<OnnxTensor>& tensors) {
  Json::Array out;
  for (const OnnxTensor& tensor : tensors) {
    Json entry;
    entry.set("name", tensor.name);
    entry.set("type", tensor.element_type);
    entry.set("shape", Json::array(tensor.shape));
    entry.set("bytes", tensor.bytes);
    out.push_back(std::move(entry));
  }
  return out;
}

Json nodes_json(const std::vector<OnnxNode>& nodes) {
  Json::Array out;
  for (const OnnxNode& node : nodes) {
    Json entry;
    entry.set("name", node.name);
    entry.set("op", node.op);
    entry.set("domain", node.domain);
    out.push_back(std::move(entry));
  }
  return out;
}

// What is said of a node, to people and scripts.
struct ProgramLayer {
  std::string name;
  std::string_view op;
  runtime::Shape output;
  std::optional<runtime::Grid> grid;
  std::string layout;  // of a conv2d's or linear's weights
  LayerUse use;
};

std::vector<ProgramLayer> layers_of(const runtime::Program& program, const LayerUses& uses) {
  const runtime::Inference inference = runtime::infer(program);
  std::vector<ProgramLayer> layers;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const runtime::Node& node = program.nodes[i];
    const bool has_layout = inference.counts(node).row != 0;
    layers.push_back({node.name, runtime::op_name(node.op), inference.shapes()[i],
                      inference.grids()[i],
                      has_layout ? std::string(layout_name(node.weights.layout)) : std::string(),
                      uses.at(node.name)});
  }
  return layers;
}

}  // namespace

std::string program_table(const runtime::Program& program, const LayerUses& uses) {
  Table table({"layer", "op", "output", "scale", "zero point", "layout", "bits", "bytes", "time"},
              "lllrrlrrr");
  for (const auto& [name, op, output, grid, layout, use] : layers_of(program, uses)) {
    table.add({name, std::string(op), runtime::shape_text(output),
               grid ? fmt::format("{:.4g}", grid->scale) : "",
               grid ? std::to_string(grid->zero_point) : "", layout, bits_text(use),
               with_commas(use.bytes), time_text(use)});
  }
  table.add({"total", "", "", "", "", "", "", with_commas(total_bytes(uses)), ""});
  return table.text();
}

Json program_json(const runtime::Program& program, const LayerUses& uses) {
  Json::Array layers;
  for (const auto& [name, op, output, grid, layout, use] : layers_of(program, uses)) {
    Json layer;
    layer.set("name", name);
    layer.set("op", op);
    layer.set("output", Json::array(output));
    layer.set("scale", grid ? Json(double{grid->scale}) : Json());
    layer.set("zero_point", grid ? Json(int{grid->zero_point}) : Json());
    layer.set("layout", layout.empty() ? Json() : Json(layout));
    layer.set("bits", use.bits == 0 ? Json() : Json(use.bits));
    layer.set("stored_bytes", use.bytes);
    layer.set("time_share", use.time_share ? Json(*use.time_share) : Json());
    layers.push_back(std::move(layer));
  }
  Json total;
  total.set("stored_bytes", total_bytes(uses));
  Json out;
  out.set("layers", std::move(layers));
  out.set("total", std::move(total));
  return out;
}

std::string onnx_text(const OnnxSummary& summary) {
  Table facts({"producer", text(summary.producer.empty() ? "unknown" : summary.producer, ' ',
                                summary.producer_version)},
              "ll");
  facts.add({"opset", text(summary.opset, ", IR version ", summary.ir_version)});
  facts.add({"checked", summary.is_ours ? "written by coppice, SHA-256 of the graph as stored"
                                        : "not written by coppice"});
  for (const auto& [key, value] : summary.metadata) facts.add({key, value});
  facts.add({"nodes", text(summary.nodes.size(), ": ", counted_operations(summary))});

  Table tensors({"tensor", "", "type", "shape", "bytes"}, "llllr");
  const auto add = [&](const char* kind, const std::vector<OnnxTensor>& list) {
    for (const OnnxTensor& tensor : list) {
      tensors.add({tensor.name, kind, tensor.element_type, onnx_shape(tensor.shape),
                   with_commas(tensor.bytes)});
    }
  };
  add("input", summary.inputs);
  add("output", summary.outputs);
  add("initializer", summary.initializers);
  tensors.add({"total", "", "", "", with_commas(initializer_bytes(summary))});
  return facts.text() + '\n' + tensors.text();
}

Json onnx_json(const OnnxSummary& summary) {
  Json out;
  out.set("is_ours", summary.is_ours);
  out.set("ir_version", summary.ir_version);
  out.set("opset", summary.opset);
  out.set("producer", summary.producer);
  out.set("producer_version", summary.producer_version);
  Json metadata{Json::Object{}};
  for (const auto& [key, value] : summary.metadata) metadata.set(key, value);
  out.set("metadata", std::move(metadata));
  out.set("inputs", tensors_json(summary.inputs));
  out.set("outputs", tensors_json(summary.outputs));
  out.set("nodes", nodes_json(summary.nodes));
  out.set("initializers", tensors_json(summary.initializers));
  return out;
}

}  // namespace coppice
