// Graph to JSON and back. The text is canonical: equal graphs give equal bytes, which is what model
// hashes stand on.

#include <cmath>  // for isfinite

#include "core/error.h"
#include "core/graph.h"
#include "core/json.h"
#include "core/text.h"

namespace coppice {
namespace {

Json to_json_value(Integer value) { return value; }
Json to_json_value(Real value) { return value; }
Json to_json_value(Flag value) { return value; }
Json to_json_value(const Pair& value) { return Json::Array{value[0], value[1]}; }

void from_json_value(const Json& json, Integer& out) { out = json.as_integer(); }
void from_json_value(const Json& json, Real& out) { out = json.as_number(); }
void from_json_value(const Json& json, Flag& out) { out = json.as_bool(); }
void from_json_value(const Json& json, Pair& out) {
  const std::vector<std::int64_t> values = json.as_integers();
  if (values.size() != 2) throw DataError(text("expected two integers, got ", values.size()));
  out = {values[0], values[1]};
}

Json layer_to_json(const LayerSpec& layer) {
  const Attributes defaults;
  Json out;
  out.set("op", layer.op);
  out.set("name", layer.name);
  out.set("inputs", Json::array(layer.inputs));
#define COPPICE_ATTRIBUTE(type, name, ...) \
  if (layer.attributes.name != defaults.name) out.set(#name, to_json_value(layer.attributes.name));
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
  return out;
}

// Reads the attribute `key` into `layer`; false if there is none of that name.
bool read_attribute(const std::string& key, const Json& value, Attributes& attributes) {
#define COPPICE_ATTRIBUTE(type, name, ...)   \
  if (key == #name) {                        \
    from_json_value(value, attributes.name); \
    return true;                             \
  }
#include "core/attributes.def"
#undef COPPICE_ATTRIBUTE
  return false;
}

LayerSpec layer_from_json(const Json& json) {
  LayerSpec layer;
  for (const auto& [key, value] : json.as_object()) {
    if (key == "op") {
      layer.op = value.as_text();
    } else if (key == "name") {
      layer.name = value.as_text();
    } else if (key == "inputs") {
      layer.inputs = value.as_texts();
    } else if (!read_attribute(key, value, layer.attributes)) {
      throw DataError(text("unknown attribute '", key.substr(0, 64), "' of layer '",
                           layer.name.substr(0, 64), "'"));
    }
  }
  return layer;
}

}  // namespace

std::string Graph::to_json() const {
  Json input;
  input.set("shape", Json::array(input_.shape));
  input.set("type", input_.type == ElementType::kFloat32 ? "float32" : "int32");
  input.set("labels_per_sample", input_.labels_per_sample);
  input.set("label_names", Json::array(input_.label_names));
  Json::Array layers;
  for (const LayerSpec& layer : layers_) layers.push_back(layer_to_json(layer));
  Json out;
  out.set("input", std::move(input));
  out.set("layers", std::move(layers));
  return out.dump();
}

Graph Graph::from_json(std::string_view json) {
  const Json root = Json::parse(json, "graph");
  const Json& input_json = root.at("input");
  InputSpec input;
  input.shape = input_json.at("shape").as_integers();
  const std::string& type = input_json.at("type").as_text();
  if (type != "float32" && type != "int32") {
    throw DataError("graph: expected input type float32 or int32, got '" + type.substr(0, 64) +
                    "'");
  }
  input.type = type == "float32" ? ElementType::kFloat32 : ElementType::kInt32;
  input.labels_per_sample = input_json.at("labels_per_sample").as_integer();
  input.label_names = input_json.at("label_names").as_texts();
  std::vector<LayerSpec> layers;
  for (const Json& layer : root.at("layers").as_array()) layers.push_back(layer_from_json(layer));
  return build(std::move(input), std::move(layers));
}

}  // namespace coppice
