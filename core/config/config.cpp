#include "core/config/config.h"

#include <functional>  // for function
#include <optional>    // for optional
#include <utility>     // for move

#include "core/config/rules.h"
#include "core/config/schema.h"
#include "core/config/yaml_tree.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

YamlNode tree_of(std::string_view yaml, const std::function<std::string(YamlMark)>& place) {
  try {
    return parse_yaml(yaml);
  } catch (const YamlError& error) {
    throw ConfigError(place(error.mark) + ": " + error.what());
  }
}

void apply_override(const std::string& argument, ExperimentConfig& config, KeyPlaces& places) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError(
        text("command line: expected key=value, got '", argument.substr(0, 128), "'"));
  }
  const std::string key = argument.substr(0, equals);
  const auto place = [](YamlMark) { return std::string("command line"); };
  const auto place_in_value = [&](YamlMark) {
    return text("command line: ", argument.substr(0, 128));
  };
  YamlNode value = tree_of(std::string_view(argument).substr(equals + 1), place_in_value);
  if (equals + 1 == argument.size()) {
    value.kind = YamlKind::kScalar;
    value.is_quoted = true;
  }
  apply_tree(value, key, place, config, places);
}

}  // namespace

ExperimentConfig load_config(const std::filesystem::path& path,
                             std::span<const std::string> overrides) {
  return parse_config(read_yaml_file(path), path.string(), overrides);
}

ExperimentConfig parse_config(std::string_view yaml, std::string_view name,
                              std::span<const std::string> overrides) {
  const auto place = [&](YamlMark mark) { return text(name, ':', mark.line, ':', mark.column); };
  const YamlNode root = tree_of(yaml, place);
  if (root.kind == YamlKind::kNull)
    throw ConfigError(text(name, ": expected a map of keys, got an empty document"));

  ExperimentConfig config;
  KeyPlaces places;
  apply_tree(root, "", place, config, places);
  for (const std::string& argument : overrides) apply_override(argument, config, places);

  // A network of one's own has no name; the default one would only mislead.
  if (!config.model.layers.empty() && !places.contains("model.name")) config.model.name.clear();
  if (const std::optional<Conflict> conflict = find_conflict(config)) {
    const auto found = places.find(conflict->key);
    const std::string where = found != places.end() ? found->second : std::string(name);
    throw ConfigError(text(where, ": ", conflict->key, ": ", conflict->message));
  }
  return config;
}

std::string resolved_yaml(const ExperimentConfig& config) {
  std::string out;
  std::string open_section;  // with a dot behind it, or empty
  for (const ConfigKey& key : config_keys()) {
    const std::string section = key.path.substr(0, key.path.rfind('.') + 1);
    std::size_t depth = 0;
    for (std::size_t begin = 0, dot = section.find('.'); dot != std::string::npos;
         begin = dot + 1, dot = section.find('.', begin), ++depth) {
      const std::string upper = section.substr(0, dot + 1);
      if (!open_section.starts_with(upper)) {
        out += std::string(2 * depth, ' ') + section.substr(begin, dot - begin) + ":\n";
      }
    }
    out += std::string(2 * depth, ' ') + key.path.substr(section.size()) + ": " +
           key.write(config) + '\n';
    open_section = section;
  }
  return out;
}

std::string config_sha256(const ExperimentConfig& config) {
  return sha256_hex(resolved_yaml(config));
}

}  // namespace coppice
