#include "launch/ending_text.h"

#include <fmt/core.h>

#include "launch/tables.h"

namespace coppice {
namespace {

std::string quantity_or_not(const std::string& constraint, const Json& value) {
  return value.is_number() ? quantity(constraint, value.as_number()) : "not measured";
}

// What the certificate says beside the verdicts.
std::string certificate_text(const Json& certificate) {
  const Json& retention = certificate.at("retention");
  std::string out = "\ncertified: ";
  if (retention.is_null()) {
    out += "file and times";
  } else {
    out += fmt::format("retention {} of {} labels", percent(retention.at("estimate")),
                       with_commas(retention.at("labels").as_integer()));
    if (!retention.at("lower_bound").is_null())
      out += fmt::format(", at least {} with confidence {}", percent(retention.at("lower_bound")),
                         percent(retention.at("confidence")));
  }
  const Json& gap = certificate.at("gap");
  if (gap.is_number()) out += fmt::format("; the allocator's gap is {}", percent(gap));
  return out + '\n';
}

std::string frontier_text(const Json& frontier) {
  std::string out = "\nwhat binds\n";
  for (const Json& binding : frontier.at("binding").as_array()) {
    const std::string name = binding.at("constraint").as_text();
    out += fmt::format("  {}: wanted {}, reached {}", name,
                       quantity_or_not(name, binding.at("wanted")),
                       quantity_or_not(name, binding.at("reached")));
    if (const Json* bytes = binding.find("file_bytes"))
      out += fmt::format(" by a file of {}", quantity_or_not("max_bytes", *bytes));
    out += '\n';
  }
  Table measured({"measured: round", "file", "retention", "at least", ""}, "rrrrl");
  for (const Json& point : frontier.at("measured").as_array()) {
    const Json& passed = point.at("passed");
    measured.add({std::to_string(point.at("round").as_integer()),
                  quantity_or_not("max_bytes", point.at("file_bytes")),
                  percent(point.at("retention")), percent(point.at("lower_bound")),
                  passed.is_null()   ? ""
                  : passed.as_bool() ? "passed"
                                     : "failed"});
  }
  out += '\n' + measured.text();
  const Json::Array& files = frontier.at("predicted").as_array();
  if (files.empty()) return out;
  Table predicted({"reachable: file", "predicted loss"}, "rr");
  for (const Json& file : files) {
    predicted.add({quantity_or_not("max_bytes", file.at("bytes")),
                   fmt::format("{:.4f}", file.at("predicted_loss").as_number())});
  }
  return out + '\n' + predicted.text();
}

}  // namespace

std::string ending_text(const Json& summary) {
  const Json* certificate = summary.find("certificate");
  const Json* frontier = summary.find("frontier");
  if (certificate != nullptr && !certificate->is_null()) return certificate_text(*certificate);
  if (frontier != nullptr && !frontier->is_null()) return frontier_text(*frontier);
  return {};
}

}  // namespace coppice
