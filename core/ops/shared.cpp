#include "core/op_rules.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxRank = 4;

}  // namespace

const OpRules& op_rules(OpKind op) {
  static constexpr const OpRules* kRules[] = {
#define COPPICE_OP(name, coupling, onnx, runtime) &ops::name##_rules,
#include "core/ops.def"
#undef COPPICE_OP
  };
  return *kRules[static_cast<std::size_t>(op)];
}

void check_size(std::string_view what, const Shape& shape) {
  if (shape.empty() || shape.size() > kMaxRank)
    throw ConfigError(text(what, ": shape of ", shape.size(), " axes"));
  std::int64_t count = 1;
  for (const std::int64_t axis : shape) {
    if (axis < 1 || axis > kMaxAxis) {
      throw ConfigError(
          text(what, ": axis of ", axis, " in ", shape_text(shape), ", expected 1..", kMaxAxis));
    }
    count *= axis;
    if (count > kMaxElements) {
      throw ConfigError(
          text(what, ": ", shape_text(shape), " has more than ", kMaxElements, " elements"));
    }
  }
}

namespace ops {

std::vector<ParameterSpec> no_parameters(const NodeView&) { return {}; }
std::int64_t no_macs(const NodeView&, const Shape&) { return 0; }
Labels pass_labels(CouplingPass& pass) { return pass.input(0); }
void keep_attributes(Attributes&, const Shape&, const KeptAxes&) {}

void need_inputs(const NodeView& node, std::size_t count) {
  if (node.inputs.size() != count)
    fail_layer(node, "expected ", count, " input(s), got ", node.inputs.size());
}

void need_rank(const NodeView& node, std::size_t input, std::size_t rank, const char* what) {
  if (node.inputs[input].size() != rank) {
    fail_layer(node, "expected ", what, " as input ", input, ", got ",
               shape_text(node.inputs[input]));
  }
}

void need_image(const NodeView& node) {
  need_inputs(node, 1);
  need_rank(node, 0, 3, "an image {channels, height, width}");
}

void need_positive(const NodeView& node, const char* attribute, std::int64_t value) {
  if (value < 1) fail_layer(node, "expected ", attribute, " >= 1, got ", value);
}

ParameterSpec kaiming(std::string name, Shape shape, std::int64_t fan_in) {
  return {.name = std::move(name),
          .shape = std::move(shape),
          .initializer = Initializer::kKaimingUniform,
          .fan_in = fan_in};
}

ParameterSpec constant(std::string name, Shape shape, bool is_one, bool is_trainable) {
  return {.name = std::move(name),
          .shape = std::move(shape),
          .is_trainable = is_trainable,
          .initializer = is_one ? Initializer::kOnes : Initializer::kZeros};
}

Labels repeat_blocks(const Labels& labels, std::int64_t times) {
  Labels out;
  for (std::int64_t i = 0; i < times; ++i) out.insert(out.end(), labels.begin(), labels.end());
  return out;
}

Labels repeat_each(const Labels& labels, std::int64_t times) {
  Labels out;
  for (const int label : labels) out.insert(out.end(), static_cast<std::size_t>(times), label);
  return out;
}

}  // namespace ops
}  // namespace coppice
