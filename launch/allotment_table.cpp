#include "launch/allotment_table.h"

#include <fmt/core.h>

#include "core/text.h"
#include "launch/tables.h"

namespace coppice {
namespace {

std::string weights_text(const Json& layer) {
  const double blocks = layer.at("block_density").as_number();
  if (blocks < 1.0) return fmt::format("{:.3g}% of blocks", 100.0 * blocks);
  return fmt::format("{:.3g}%", 100.0 * layer.at("density").as_number());
}

// Versions without widths did not say that all channels stay.
std::string kept_text(const Json& layer) {
  const Json* channels = layer.find("channels");
  if (channels == nullptr || channels->as_number() == 1.0) return weights_text(layer);
  return fmt::format("{:.3g}% of channels, {}", 100.0 * channels->as_number(), weights_text(layer));
}

std::string bounds_text(const Json& layer) {
  std::vector<std::string> names;
  for (const Json& name : layer.at("bound_by").as_array()) names.push_back(name.as_text());
  return names.empty() ? "nothing: no way loses less" : join(names);
}

std::string number_text(const Json& value, int digits) {
  return value.is_number() ? fmt::format("{:.{}g}", value.as_number(), digits) : "-";
}

}  // namespace

Json last_allotment(const std::vector<Json>& metrics) {
  Json last;
  for (const Json& line : metrics) {
    const Json* allotment = line.find("allotment");
    if (allotment == nullptr || allotment->is_null()) continue;
    last = *allotment;
    last.set("round", line.at("round"));
  }
  return last;
}

std::string allotment_table(const Json& allotment) {
  if (allotment.is_null()) return {};
  const Json* layers = allotment.find("layers");
  if (layers == nullptr || layers->as_array().empty()) return {};
  Table table({"weights", "kept", "bits", "bytes", "us", "predicted loss", "held back by"},
              "lrrrrrl");
  for (const Json& layer : layers->as_array()) {
    table.add({layer.at("parameter").as_text(), kept_text(layer),
               std::to_string(layer.at("bits").as_integer()),
               with_commas(layer.at("bytes").as_integer()),
               number_text(layer.at("microseconds"), 3), number_text(layer.at("predicted_loss"), 2),
               bounds_text(layer)});
  }
  return fmt::format(
      "chosen after round {}, as counted then: a file of {} bytes, predicted loss {}\n{}",
      allotment.at("round").as_integer(), with_commas(allotment.at("file_bytes").as_integer()),
      number_text(allotment.at("predicted_loss"), 2), table.text());
}

}  // namespace coppice
