#include "launch/certificate.h"

#include <algorithm>  // for all_of
#include <utility>    // for move

#include "core/config/config.h"
#include "launch/device/edge_world.h"

namespace coppice {
namespace {

// A field of a line that may be missing, null or an object without it.
const Json* part_of(const Json& line, const char* field) {
  const Json* found = line.find(field);
  return found == nullptr || found->is_null() ? nullptr : found;
}

bool is_control(const Json& line) { return line.at("phase").as_text() == "control"; }

// Of a choice that was judged, not of the finished model.
bool judges_choice(const Json* gate) {
  return gate != nullptr && part_of(*gate, "progress") != nullptr;
}

// The comparison of the finished model; null: there was none.
const Json* last_comparison(const std::vector<Json>& metrics) {
  if (metrics.empty()) return nullptr;
  const Json* gate = part_of(metrics.back(), "gate");
  return judges_choice(gate) ? nullptr : gate;
}

// What decides of a gate: the lower bound, or of too few labels the estimate. Null: nobody told.
Json decisive(const Json& gate) {
  const Json* bound = part_of(gate, "lower_bound");
  return bound == nullptr ? gate.at("retention") : *bound;
}

// The allotment that the finished model has: the last, but for those that were taken back.
Json kept_allotment(const ExperimentConfig& config, const std::vector<Json>& metrics) {
  Json kept;
  Json open;
  for (const Json& line : metrics) {
    const Json* gate = part_of(line, "gate");
    if (judges_choice(gate)) {
      if (gate->at("passed").as_bool()) kept = open;
      open = Json();
    }
    if (const Json* allotment = part_of(line, "allotment")) open = *allotment;
  }
  return config.compress.is_gated() ? kept : open;
}

Json retention_json(const ExperimentConfig& config, const Json* gate) {
  if (gate == nullptr || gate->at("retention").is_null()) return {};
  Json out;
  out.set("estimate", gate->at("retention"));
  out.set("lower_bound", gate->at("lower_bound"));
  out.set("upper_bound", gate->at("upper_bound"));
  out.set("confidence", config.compress.gate.confidence);
  std::int64_t labels = 0;
  for (const char* count : {"both", "only_dense", "only_compressed", "neither"}) {
    out.set(count, gate->at(count));
    labels += gate->at(count).as_integer();
  }
  out.set("labels", labels);
  return out;
}

// A model on the way, or the last.
struct MeasuredPoint {
  std::int64_t round = 0;
  std::int64_t file_bytes = 0;
  Json retention;
  Json lower_bound;
  Json passed;  // null: nobody judged it
  bool is_judged = false;

  Json to_json() const {
    Json out;
    out.set("round", round);
    out.set("file_bytes", file_bytes);
    out.set("retention", retention);
    out.set("lower_bound", lower_bound);
    out.set("passed", passed);
    return out;
  }
};

void take_judgement(const Json& gate, MeasuredPoint& point) {
  point.retention = gate.at("retention");
  point.lower_bound = gate.at("lower_bound");
  point.passed = gate.at("passed");
  point.is_judged = true;
}

// Every choice as it was before the next one.
std::vector<MeasuredPoint> points_on_the_way(const std::vector<Json>& metrics,
                                             const std::optional<double>& dense) {
  std::vector<MeasuredPoint> out;
  for (const Json& line : metrics) {
    if (is_control(line)) continue;
    const std::int64_t round = line.at("round").as_integer();
    const Json* gate = part_of(line, "gate");
    if (judges_choice(gate) && !out.empty()) {
      out.back().round = round;
      take_judgement(*gate, out.back());
    }
    if (const Json* allotment = part_of(line, "allotment")) {
      MeasuredPoint& point = out.emplace_back();
      point.round = round;
      point.file_bytes = allotment->at("file_bytes").as_integer();
    }
    const Json* accuracy = part_of(line, "validation_accuracy");
    if (out.empty() || out.back().is_judged || accuracy == nullptr || !dense || *dense == 0.0)
      continue;
    out.back().round = round;
    out.back().retention = accuracy->as_number() / *dense;
  }
  if (!out.empty() && !out.back().is_judged) out.pop_back();  // what became of it is the last model
  return out;
}

Json measured_json(const ExperimentConfig& config, const std::vector<Json>& metrics,
                   const RunEnding& ending) {
  Json::Array out;
  for (const MeasuredPoint& point : points_on_the_way(metrics, ending.dense_validation))
    out.push_back(point.to_json());
  MeasuredPoint last;
  last.round = metrics.back().at("round").as_integer();
  last.file_bytes = ending.validation.file_bytes;
  if (ending.validation.retention) last.retention = *ending.validation.retention;
  if (const Json* gate = last_comparison(metrics)) take_judgement(*gate, last);
  if (!config.compress.is_gated()) last.passed = Json();  // the verdict goes by the estimate
  out.push_back(last.to_json());
  return out;
}

Json predicted_json(const std::vector<Json>& metrics) {
  const Json* last = nullptr;
  for (const Json& line : metrics) {
    if (const Json* allotment = part_of(line, "allotment")) last = allotment;
  }
  Json::Array out;
  if (last == nullptr) return out;
  for (const Json& file : last->at("reachable").as_array()) {
    Json point;
    point.set("bytes", file.as_array().at(0));
    point.set("predicted_loss", file.as_array().at(1));
    out.push_back(std::move(point));
  }
  return out;
}

Json binding_json(const std::string& constraint, double wanted, Json reached) {
  Json out;
  out.set("constraint", constraint);
  out.set("wanted", wanted);
  out.set("reached", std::move(reached));
  return out;
}

// The last choice that was taken back; null: none was.
const Json* last_failure(const std::vector<Json>& metrics) {
  const Json* failure = nullptr;
  for (const Json& line : metrics) {
    const Json* gate = part_of(line, "gate");
    if (judges_choice(gate) && !gate->at("passed").as_bool()) failure = gate;
  }
  return failure;
}

}  // namespace

std::optional<double> judged_retention(const ExperimentConfig& config,
                                       const std::vector<Json>& metrics) {
  // Ungated runs go by the accuracies on all clients' held-out samples, where ranks can read them.
  const bool is_pooled = !has_data_elsewhere(config);
  const Json* gate = last_comparison(metrics);
  if (gate == nullptr || (is_pooled && !config.compress.is_gated())) return std::nullopt;
  const Json value = decisive(*gate);
  return value.is_number() ? std::optional(value.as_number()) : std::nullopt;
}

Json certificate_json(const ExperimentConfig& config, const std::vector<Json>& metrics,
                      const RunEnding& ending) {
  if (ending.verdicts.empty() || !std::ranges::all_of(ending.verdicts, &Verdict::is_met)) return {};
  const Validation& validation = ending.validation;
  const Measurement& measured = validation.measurement;
  const bool is_timed = measured.runs > 0;
  Json latency;
  latency.set("p50", measured.latency.p50_us);
  latency.set("p99", measured.latency.p99_us);
  latency.set("p999", measured.latency.p999_us);
  const Json allotment = kept_allotment(config, metrics);
  Json out;
  out.set("config_sha256", config_sha256(config));
  out.set("seed", static_cast<std::int64_t>(config.seed));
  out.set("model_sha256", validation.model_sha256);
  out.set("file_sha256", validation.file_sha256);
  out.set("file_bytes", validation.file_bytes);
  out.set("latency_us", is_timed ? latency : Json());
  out.set("peak_memory_bytes", is_timed ? Json(measured.process_bytes) : Json());
  out.set("retention", retention_json(config, last_comparison(metrics)));
  out.set("gap", allotment.is_null() ? Json() : allotment.at("gap"));
  out.set("predicted_loss", allotment.is_null() ? Json() : allotment.at("predicted_loss"));
  return out;
}

Json frontier_json(const ExperimentConfig& config, const std::vector<Json>& metrics,
                   const RunEnding& ending) {
  if (std::ranges::all_of(ending.verdicts, &Verdict::is_met)) return {};
  Json::Array binding;
  bool is_retention_named = false;
  for (const Verdict& verdict : ending.verdicts) {
    if (verdict.is_met) continue;
    is_retention_named = is_retention_named || verdict.name == "min_retention";
    binding.emplace_back(binding_json(verdict.name, verdict.limit,
                                      verdict.measured ? Json(*verdict.measured) : Json()));
  }
  // The model is as accurate as it should be, because what would have been smaller was taken back.
  const Json* failure = last_failure(metrics);
  const bool is_short = config.compress.is_gated() && !is_retention_named;
  if (is_short && failure != nullptr && config.compress.constraints.min_retention) {
    Json held = binding_json("min_retention", *config.compress.constraints.min_retention,
                             decisive(*failure));
    held.set("file_bytes", failure->at("file_bytes"));
    binding.push_back(std::move(held));
  }
  Json out;
  out.set("binding", std::move(binding));
  out.set("predicted", predicted_json(metrics));
  out.set("measured", measured_json(config, metrics, ending));
  return out;
}

}  // namespace coppice
