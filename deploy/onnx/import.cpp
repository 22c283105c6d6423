#include "deploy/onnx/import.h"

#include <algorithm>  // for find

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "deploy/onnx/import/call.h"
#include "deploy/onnx/names.h"
#include "deploy/onnx/summary.h"

namespace coppice {
namespace onnx_import {
namespace {

constexpr std::int64_t kFirstOpset = 9;
constexpr std::int64_t kLastOpset = 23;
// Of decoded values: constants that are used by several nodes are decoded for each.
constexpr std::int64_t kSpareElements = std::int64_t{1} << 22;

[[noreturn]] void fail_value(const char* kind, const OnnxTensor& value, const std::string& why) {
  throw DataError(text(kind, " '", value.name.substr(0, 128), "': ", why));
}

const OnnxTensor& only_input(const OnnxSummary& summary, const FileGraph& graph) {
  const OnnxTensor* found = nullptr;
  for (const OnnxTensor& input : summary.inputs) {
    if (graph.initializers.contains(input.name)) continue;
    if (found != nullptr) fail_value("input", input, "expected one input, this is another");
    found = &input;
  }
  if (found == nullptr) throw DataError("the graph has no input");
  return *found;
}

std::vector<std::string> label_names_of(const OnnxSummary& summary) {
  const auto found = summary.metadata.find(std::string(onnx_export::kKeyPrefix) + "label_names");
  std::vector<std::string> out;
  if (!summary.is_ours || found == summary.metadata.end()) return out;
  const Json names = Json::parse(found->second, "label names");
  for (const Json& name : names.as_array()) out.push_back(name.as_text());
  return out;
}

InputSpec input_spec(const OnnxTensor& input) {
  InputSpec out;
  if (input.element_type == "INT32" || input.element_type == "INT64") {
    out.type = ElementType::kInt32;
  } else if (input.element_type != "FLOAT") {
    fail_value("input", input, "expected FLOAT, or INT32 or INT64 ids, got " + input.element_type);
  }
  if (input.shape.size() < 2 || input.shape.size() > 4) {
    fail_value("input", input,
               text("expected a batch axis and 1 to 3 others, got ", input.shape.size(), " axes"));
  }
  out.shape.assign(input.shape.begin() + 1, input.shape.end());
  for (const std::int64_t axis : out.shape) {
    if (axis < 1) fail_value("input", input, "an axis beside the batch has no fixed size");
  }
  return out;
}

// Which nodes the output stands on, in the file's order.
std::vector<const FileNode*> needed_nodes(const FileGraph& graph, std::string_view output) {
  std::set<std::string_view> wanted{output};
  std::vector<const FileNode*> out;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool is_needed = std::ranges::any_of(
        node->outputs, [&](std::string_view name) { return wanted.contains(name); });
    if (!is_needed) continue;
    out.push_back(&*node);
    wanted.insert(node->inputs.begin(), node->inputs.end());
  }
  std::ranges::reverse(out);
  return out;
}

void read_node(Session& session, const FileNode& node) {
  Call call(session, node);
  const bool is_standard = node.domain.empty() || node.domain == "ai.onnx";
  const Reader reader = is_standard ? reader_of(node.op) : nullptr;
  if (reader == nullptr) {
    const std::vector<std::string_view> known = known_operators();
    call.fail("the operator ", is_standard ? "" : text(node.domain.substr(0, 64), "."),
              node.op.substr(0, 64), " is not read; these are: ", join(known));
  }
  try {
    reader(call);
  } catch (const ConfigError& error) {  // of a layer whose shapes do not fit
    call.fail(error.what());
  }
  call.finish();
}

// The last layer, as logits {classes} or {steps, classes}.
Output last_output(Session& session, const std::string& name) {
  const auto found = session.values.find(name);
  if (found == session.values.end())
    throw DataError(text("output '", name.substr(0, 128), "' is made by no node"));
  const auto done = complete(session.network, found->second.value, found->second.name);
  if (!done || done->layer == 0)
    throw DataError(text("output '", name.substr(0, 128), "': expected the output of a layer"));
  return *done;
}

Checkpoint read_network(Session& session, const FileGraph& graph, const OnnxSummary& summary) {
  if (summary.outputs.size() != 1)
    throw DataError(text("expected one output, got ", summary.outputs.size()));
  const std::string& output_name = summary.outputs.front().name;
  for (const FileNode* node : needed_nodes(graph, output_name)) read_node(session, *node);
  return std::move(session.network).finish(last_output(session, output_name));
}

std::int64_t integer_entry(const OnnxSummary& summary, const char* key) {
  const auto found = summary.metadata.find(std::string(onnx_export::kKeyPrefix) + key);
  const bool is_there = summary.is_ours && found != summary.metadata.end();
  return is_there ? Json::parse(found->second, key).as_integer() : 0;
}

void describe_origin(const OnnxSummary& summary, Checkpoint& out) {
  out.round = integer_entry(summary, "round");
  out.mask_epoch = integer_entry(summary, "mask_epoch");
  const std::string prefix = std::string(onnx_export::kKeyPrefix) + "provenance.";
  for (const auto& [key, value] : summary.metadata) {
    if (summary.is_ours && key.starts_with(prefix))
      out.provenance[key.substr(prefix.size())] = value;
  }
  if (!summary.is_ours) {
    out.provenance["onnx_producer"] = text(summary.producer, ' ', summary.producer_version);
    out.provenance["onnx_opset"] = std::to_string(summary.opset);
  }
}

Checkpoint read(std::span<const std::uint8_t> bytes, const OnnxSummary& summary) {
  if (summary.opset < kFirstOpset || summary.opset > kLastOpset) {
    throw DataError(text("opset ", summary.opset, ", expected ", kFirstOpset, " to ", kLastOpset));
  }
  const FileGraph graph = read_graph(bytes);
  const OnnxTensor& input = only_input(summary, graph);
  InputSpec spec = input_spec(input);
  spec.label_names = label_names_of(summary);
  Session session{
      .network = Network(spec, 4 * static_cast<std::int64_t>(bytes.size()) + kSpareElements),
      .values = {},
      .opset = summary.opset,
      .batch = input.shape.front() > 0 ? input.shape.front() : kBatch};
  session.values[input.name] = {Output{0, kNoGrid, spec.shape}, input.name};
  for (const auto& [name, tensor] : graph.initializers) session.values[name] = {&tensor, name};
  Checkpoint out = read_network(session, graph, summary);
  describe_origin(summary, out);
  return out;
}

}  // namespace
}  // namespace onnx_import

Checkpoint from_onnx(std::span<const std::uint8_t> bytes, std::string_view what) {
  const OnnxSummary summary = read_onnx(bytes, what);
  try {
    return onnx_import::read(bytes, summary);
  } catch (const Error&) {
    std::throw_with_nested(DataError(text(what, ": cannot be imported")));
  }
}

}  // namespace coppice
