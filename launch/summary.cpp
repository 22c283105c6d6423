#include "launch/summary.h"

#include <sys/resource.h>  // for getrusage

#include <algorithm>   // for max
#include <filesystem>  // for path

#include "core/checkpoint.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/certificate.h"
#include "launch/run_files.h"

namespace coppice {
namespace {

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

double total(const std::vector<Json>& metrics, const char* field) {
  double sum = 0.0;
  for (const Json& line : metrics) sum += line.at(field).as_number();
  return sum;
}

double control_total(const std::vector<Json>& metrics, const char* field) {
  double sum = 0.0;
  for (const Json& line : metrics) {
    if (line.at("phase").as_text() == "control") sum += line.at(field).as_number();
  }
  return sum;
}

Json best_accuracy(const std::vector<Json>& metrics) {
  Json best;
  for (const Json& line : metrics) {
    const Json& accuracy = line.at("test_accuracy");
    if (line.at("phase").as_text() == "control" || accuracy.is_null()) continue;
    if (best.is_null() || accuracy.as_number() > best.as_number()) best = accuracy;
  }
  return best;
}

// The largest, or the last, of the rounds that are not the control's.
struct TrainMemory {
  Json largest;
  Json last;
};

TrainMemory train_memory(const std::vector<Json>& metrics) {
  TrainMemory memory;
  for (const Json& line : metrics) {
    const Json* bytes = line.find("train_memory_bytes");
    if (line.at("phase").as_text() == "control" || bytes == nullptr || bytes->is_null()) continue;
    if (memory.largest.is_null() || bytes->as_integer() > memory.largest.as_integer())
      memory.largest = *bytes;
    memory.last = *bytes;
  }
  return memory;
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;  // Linux counts in KiB
}

}  // namespace

std::optional<double> ratio(const std::optional<double>& value,
                            const std::optional<double>& reference) {
  if (!value || !reference || *reference == 0.0) return std::nullopt;
  return *value / *reference;
}

ModelAccuracy dense_reference(const ExperimentConfig& config, const std::vector<Json>& metrics) {
  if (config.compress.control) return last_accuracy(metrics, true);
  if (config.compress.dense_reference.empty()) return {};
  const std::filesystem::path run = config.compress.dense_reference;
  const Json summary = read_summary(run);
  if (has_control(run)) return last_accuracy(read_metrics(run), true);
  const Json* retention = summary.find("retention");
  if (retention != nullptr && retention->is_number()) {
    throw ConfigError(text("compress.dense_reference: expected a run of the dense model, or one ",
                           "with a control, but ", run.string(), " is of a compressed one"));
  }
  ModelAccuracy out;
  if (summary.at("final_accuracy").is_number()) out.test = summary.at("final_accuracy").as_number();
  const Json* validation = summary.find("validation_accuracy");
  if (validation != nullptr && validation->is_number()) out.validation = validation->as_number();
  return out;
}

void check_constraints(const ExperimentConfig& config, const Graph& graph) {
  const Constraints& limits = config.compress.constraints;
  const auto refuse = [](const char* key, const std::string& why) {
    throw ConfigError(text("compress.constraints.", key, ": ", why));
  };
  if (limits.max_latency_us || limits.max_latency_p99_us || limits.max_peak_memory) {
    const char* key = limits.max_latency_us       ? "max_latency"
                      : limits.max_latency_p99_us ? "max_latency_p99"
                                                  : "max_peak_memory";
    for (const Node& node : graph.nodes()) {
      if (op_info(node.op).runtime == Capability::yes) continue;
      refuse(key, text("is measured on the deployment runtime, which does not run ",
                       op_info(node.op).name, " yet (layer '", node.name, "')"));
    }
  }
  if (!limits.min_retention) return;
  if (!config.compress.control && config.compress.dense_reference.empty()) {
    refuse("min_retention",
           "needs a dense model to compare with: set compress.control or compress.dense_reference");
  }
  if (config.data.validation_fraction == 0.0) {
    refuse("min_retention", "is decided on validation data: set data.validation_fraction above 0");
  }
}

Json make_summary(const ExperimentConfig& config, const std::vector<Json>& metrics,
                  const RunTotals& totals) {
  const ModelAccuracy final = last_accuracy(metrics, false);
  const ModelAccuracy dense = dense_reference(config, metrics);
  const double train_seconds = total(metrics, "seconds");
  const double samples = total(metrics, "samples");
  Json out;
  out.set("name", config.name);
  out.set("seed", static_cast<std::int64_t>(config.seed));
  out.set("rounds", config.train.rounds);
  out.set("final_accuracy", optional_number(final.test));
  out.set("best_accuracy", best_accuracy(metrics));
  out.set("validation_accuracy", optional_number(final.validation));
  out.set("dense_accuracy", optional_number(dense.test));
  out.set("retention", optional_number(ratio(final.test, dense.test)));
  out.set("validation_retention", optional_number(totals.validation.retention));
  out.set("bytes_up", static_cast<std::int64_t>(total(metrics, "bytes_up")));
  out.set("control_bytes_up", static_cast<std::int64_t>(control_total(metrics, "bytes_up")));
  out.set("bytes_down", static_cast<std::int64_t>(total(metrics, "bytes_down")));
  out.set("parameters", totals.parameters);
  out.set("dense_parameters", totals.dense_parameters);
  out.set("dense_bytes", 4 * totals.dense_parameters);
  out.set("model_bytes", totals.validation.file_bytes);
  out.set("model_sha256", totals.validation.model_sha256);
  out.set("executor", totals.identity.executor);
  out.set("isa", totals.identity.isa);
  out.set("libraries", totals.identity.libraries);
  out.set("seconds", totals.seconds);
  out.set("train_seconds", train_seconds);
  out.set("samples_per_second", train_seconds > 0.0 ? Json(samples / train_seconds) : Json());
  out.set("peak_rss_bytes", peak_rss_bytes());
  const TrainMemory memory = train_memory(metrics);
  out.set("train_memory_bytes", memory.largest);
  out.set("last_train_memory_bytes", memory.last);
  out.set("dense_train_memory_bytes",
          totals.dense_train_memory_bytes ? Json(*totals.dense_train_memory_bytes) : Json());
  out.set("clients_refused", static_cast<std::int64_t>(total(metrics, "refused")));
  const std::vector<Verdict> verdicts = judge(config.compress.constraints, totals.validation);
  out.set("constraints", verdicts_json(verdicts));
  const RunEnding ending{verdicts, totals.validation, dense.validation};
  out.set("certificate", certificate_json(config, metrics, ending));
  out.set("frontier", frontier_json(config, metrics, ending));
  return out;
}

int constraints_exit_code(const Json& summary) {
  for (const auto& [name, entry] : summary.at("constraints").as_object()) {
    if (!entry.at("met").as_bool()) return 3;
  }
  return 0;
}

}  // namespace coppice
