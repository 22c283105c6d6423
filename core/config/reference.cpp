// The reference of all keys, for people: reference_text() and reference_markdown() of
// core/config/config.h.

#include <algorithm>    // for max
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/config/config.h"
#include "core/config/layers.h"
#include "core/config/schema.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Generated from core/config/schema.cpp. Edit that, then run the test ConfigReference with
     COPPICE_UPDATE_DOCS=1. -->

An experiment is one YAML file. Three layers make its values: the defaults below, then the file, then
`key=value` arguments of the command line:

```
coppice run configs/digits_mlp.yaml train.rounds=5 model.hidden=[32,16]
```

A dot stands for one level of the file: `train.rounds` is `rounds` below `train:`. Unknown and duplicate
keys are errors. Sizes are plain bytes or carry a unit (`22KiB` is 22,528 bytes, `1.5MB` is 1,500,000),
durations always do (`250us`, `1ms`, `2s`). Relative paths start at the working folder. The run folder's
`config.resolved.yaml` holds every key with the value that was used, and is itself a config.
)";

std::string section_of(const ConfigKey& key) {
  const std::size_t dot = key.path.find('.');
  return dot == std::string::npos ? "" : key.path.substr(0, dot);
}

std::string value_of(const ConfigKey& key) {
  return key.unit.empty() ? key.expected : key.expected + " (" + key.unit + ")";
}

// "an integer from 1 to 5" is how a sentence goes on; a table needs no article.
std::string without_article(std::string_view value) {
  for (const std::string_view article : {"an ", "a "}) {
    if (value.starts_with(article)) return std::string(value.substr(article.size()));
  }
  return std::string(value);
}

std::string padded(std::string_view value, std::size_t width) {
  return std::string(value) + std::string(width - std::min(width, value.size()), ' ');
}

std::string markdown_table_head() {
  return "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
}

}  // namespace

std::string reference_text() {
  const ExperimentConfig defaults;
  std::size_t path_width = 0;
  for (const ConfigKey& key : config_keys()) path_width = std::max(path_width, key.path.size());

  std::string out;
  std::string section = "none yet";
  for (const ConfigKey& key : config_keys()) {
    if (section_of(key) != section) {
      section = section_of(key);
      if (!section.empty()) out += text('\n', section, ": ", section_sentence(section), '\n');
    }
    out += text(padded(key.path, path_width), "  ", key.sentence, '\n',
                std::string(path_width + 2, ' '), without_article(value_of(key)), "; default ",
                key.write(defaults), '\n');
  }
  return out;
}

std::string reference_markdown() {
  const ExperimentConfig defaults;
  std::string out(kIntroduction);
  std::string section = "none yet";
  for (const ConfigKey& key : config_keys()) {
    if (section_of(key) != section) {
      section = section_of(key);
      if (!section.empty()) out += text("\n## ", section, "\n\n", section_sentence(section), '\n');
      out += markdown_table_head();
    }
    out += text("| `", key.path, "` | ", without_article(value_of(key)), " | `",
                key.write(defaults), "` | ", key.sentence, " |\n");
  }
  out +=
      "\n## Attributes of a layer in `model.layers`\n\n"
      "A layer is a map: `op` (see `coppice list ops`), `name`, `inputs` (names of earlier layers; "
      "without it the\n"
      "layer before) and the attributes that the op reads.\n\n| attribute | value | default |\n| "
      "--- | --- | --- |\n";
  for (const AttributeInfo& attribute : layer_attributes()) {
    out += text("| `", attribute.name, "` | ", without_article(attribute.value), " | `",
                attribute.default_value, "` |\n");
  }
  return out;
}

}  // namespace coppice
