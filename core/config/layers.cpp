#include "core/config/layers.h"

#include <array>        // for array
#include <cstdint>      // for int64_t
#include <string_view>  // for string_view

#include "core/config/values.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxLayers = 1000;
constexpr std::size_t kMaxName = 100;
const WholeNumber<std::int64_t> kSize{0, std::int64_t{1} << 24U};

// One value type for each type of attribute, found by the type of the field.
struct PairValue {
  std::string describe() const { return kSize.describe() + ", or two of them: [height, width]"; }
  Pair read(const YamlNode& node) const {
    if (node.kind == YamlKind::kScalar) {
      const std::int64_t both = kSize.read(node);
      return {both, both};
    }
    if (node.kind != YamlKind::kList || node.children.size() != 2) refuse(node, describe());
    return {kSize.read(node.children[0]), kSize.read(node.children[1])};
  }
  std::string write(const Pair& pair) const { return text('[', join(pair), ']'); }
};

const auto& value_type(Integer) { return kSize; }
RealNumber value_type(Real) { return {}; }
TrueOrFalse value_type(Flag) { return {}; }
PairValue value_type(const Pair&) { return {}; }

constexpr auto kLayerKeys = std::to_array<std::string_view>({
    "op",
    "name",
    "inputs",
#define COPPICE_ATTRIBUTE(type, name, ...) #name,
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
});

std::string op_of(const YamlNode& node) {
  std::string op = Text{kMaxName}.read(node);
  try {
    op_named(op);
  } catch (const ConfigError& error) {
    throw YamlError(node.mark, error.what());
  }
  return op;
}

// A list of names, or one name alone.
std::vector<std::string> inputs_of(const YamlNode& node) {
  if (node.kind == YamlKind::kScalar) return {Text{kMaxName}.read(node)};
  if (node.kind != YamlKind::kList || node.children.size() > kMaxLayers)
    refuse(node, "a list of layer names");
  std::vector<std::string> names;
  for (const YamlNode& child : node.children) names.push_back(Text{kMaxName}.read(child));
  return names;
}

void read_layer_key(const YamlNode& node, LayerSpec& layer) {
  if (node.key == "op") {
    layer.op = op_of(node);
  } else if (node.key == "name") {
    layer.name = Text{kMaxName}.read(node);
  } else if (node.key == "inputs") {
    layer.inputs = inputs_of(node);
  }
#define COPPICE_ATTRIBUTE(type, name, ...) \
  else if (node.key == #name) layer.attributes.name = value_type(layer.attributes.name).read(node);
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
  else {
    throw YamlError(node.key_mark, unknown_name("layer attribute", node.key, kLayerKeys));
  }
}

LayerSpec layer_of(const YamlNode& node) {
  if (node.kind != YamlKind::kMap) refuse(node, "a layer such as {op: linear, out: 10}");
  LayerSpec layer;
  for (const YamlNode& child : node.children) {
    try {
      read_layer_key(child, layer);
    } catch (const YamlError& error) {
      const bool is_known =
          error.mark.line != child.key_mark.line || error.mark.column != child.key_mark.column;
      if (!is_known) throw;
      throw YamlError(error.mark, child.key + ": " + error.what());
    }
  }
  if (layer.op.empty()) throw YamlError(node.mark, "a layer needs an op, for example {op: relu}");
  return layer;
}

std::string layer_text(const LayerSpec& layer) {
  std::string out = "{op: " + quoted_if_needed(layer.op);
  if (!layer.name.empty()) out += ", name: " + quoted_if_needed(layer.name);
  if (!layer.inputs.empty()) {
    std::vector<std::string> inputs;
    for (const std::string& input : layer.inputs) inputs.push_back(quoted_if_needed(input));
    out += ", inputs: [" + join(inputs) + "]";
  }
  const Attributes defaults;
#define COPPICE_ATTRIBUTE(type, name, ...)                                                   \
  if (!(layer.attributes.name == defaults.name)) {                                           \
    out += ", " #name ": " + value_type(layer.attributes.name).write(layer.attributes.name); \
  }
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
  return out + "}";
}

}  // namespace

std::vector<LayerSpec> LayerList::read(const YamlNode& node) const {
  if (node.kind != YamlKind::kList) refuse(node, describe());
  if (node.children.size() > kMaxLayers) {
    throw YamlError(node.mark,
                    text("expected at most ", kMaxLayers, " layers, got ", node.children.size()));
  }
  std::vector<LayerSpec> layers;
  for (const YamlNode& child : node.children) {
    try {
      layers.push_back(layer_of(child));
    } catch (const YamlError& error) {
      throw YamlError(error.mark, text("layer ", layers.size() + 1, ": ", error.what()));
    }
  }
  return layers;
}

std::string LayerList::write(const std::vector<LayerSpec>& layers) const {
  std::string out = "[";
  for (std::size_t i = 0; i < layers.size(); ++i)
    out += (i == 0 ? "\n    " : ",\n    ") + layer_text(layers[i]);
  return out + "]";
}

std::vector<AttributeInfo> layer_attributes() {
  const Attributes defaults;
  return {
#define COPPICE_ATTRIBUTE(type, name, ...) \
  {#name, value_type(defaults.name).describe(), value_type(defaults.name).write(defaults.name)},
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
  };
}

}  // namespace coppice
