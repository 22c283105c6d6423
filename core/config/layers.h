#pragma once
// `model.layers`: an own network, written as a list of maps {op, name, inputs, <attributes of the
// op>}. Attributes come from core/attributes.def; whether an op reads one and shapes fit,
// Graph::build decides. Pure.

#include <string>  // for string
#include <vector>  // for vector

#include "core/config/yaml_tree.h"
#include "core/graph.h"

namespace coppice {

// A value type in the sense of core/config/values.h.
struct LayerList {
  std::string describe() const { return "a list of layers {op, name, inputs, attributes}"; }
  std::vector<LayerSpec> read(const YamlNode& node) const;
  std::string write(const std::vector<LayerSpec>& layers) const;  // attributes that differ from
                                                                  // their defaults
};

struct AttributeInfo {
  std::string name;
  std::string value;          // "an integer from 0 to 16777216"
  std::string default_value;  // as YAML
};
std::vector<AttributeInfo> layer_attributes();  // in the order of attributes.def

}  // namespace coppice
