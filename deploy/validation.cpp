#include "deploy/validation.h"

#include <algorithm>  // for max_element, min
#include <numeric>    // for iota

#include "core/error.h"
#include "core/text.h"
#include "deploy/runtime/engine.h"

namespace coppice {
namespace {

constexpr std::int64_t kBatch = 256;

void check_fits(const runtime::Engine& model, const Dataset& dataset) {
  if (model.sample_size() == dataset.sample_size() &&
      model.logit_count() == dataset.labels_per_sample * dataset.classes) {
    return;
  }
  throw ConfigError(text("the model takes ", model.sample_size(), " values and gives ",
                         model.logit_count(), " logits; data set '", dataset.name, "' has ",
                         dataset.sample_size(), " values and ",
                         dataset.labels_per_sample * dataset.classes, " classes"));
}

Json percentiles_json(const Percentiles& times) {
  Json out;
  out.set("p50", times.p50_us);
  out.set("p99", times.p99_us);
  out.set("p999", times.p999_us);
  return out;
}

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

}  // namespace

std::int64_t top_class(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

double PairedCounts::accuracy() const {
  return labels == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(labels);
}

std::optional<double> PairedCounts::agreement() const {
  if (!has_reference || labels == 0) return std::nullopt;
  return static_cast<double>(equal) / static_cast<double>(labels);
}

std::optional<double> PairedCounts::reference_accuracy() const {
  if (!has_reference || labels == 0) return std::nullopt;
  return static_cast<double>(reference_correct) / static_cast<double>(labels);
}

PairedCounts score(const runtime::Program& program, const Dataset& dataset, const Split& split,
                   const Reference* reference, ScoreShare share) {
  runtime::Engine model(program);
  check_fits(model, dataset);
  const auto sample_size = static_cast<std::size_t>(dataset.sample_size());
  const auto classes = static_cast<std::size_t>(dataset.classes);
  const auto labels_per_sample = static_cast<std::size_t>(dataset.labels_per_sample);
  std::vector<float> logits(static_cast<std::size_t>(model.logit_count()));
  PairedCounts counts;
  counts.has_reference = reference != nullptr;
  for (std::int64_t begin = share.part * kBatch; begin < split.size;
       begin += share.parts * kBatch) {
    std::vector<std::int64_t> indices(
        static_cast<std::size_t>(std::min(kBatch, split.size - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<float> samples(indices.size() * sample_size);
    gather_samples(dataset, split, indices, samples);
    std::vector<std::int32_t> labels(indices.size() * labels_per_sample);
    gather_labels(dataset, split, indices, labels);
    std::vector<float> expected;
    if (reference != nullptr)
      expected = reference->executor->infer({reference->parameters}, samples);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      model.run(std::span(samples).subspan(i * sample_size, sample_size), logits);
      for (std::size_t l = 0; l < labels_per_sample; ++l) {
        const std::size_t at = i * labels_per_sample + l;
        const std::int64_t mine = top_class(std::span(logits).subspan(l * classes, classes));
        ++counts.labels;
        counts.correct += mine == labels[at] ? 1 : 0;
        if (reference == nullptr) continue;
        const std::int64_t other = top_class(std::span(expected).subspan(at * classes, classes));
        counts.reference_correct += other == labels[at] ? 1 : 0;
        counts.equal += other == mine ? 1 : 0;
      }
    }
  }
  return counts;
}

std::vector<Verdict> judge(const Constraints& limits, const Validation& validation) {
  std::vector<Verdict> out;
  const auto at_most = [&](const char* name, const auto& limit, double measured) {
    if (!limit) return;
    const auto value = static_cast<double>(*limit);
    out.push_back(
        {.name = name, .limit = value, .measured = measured, .is_met = measured <= value});
  };
  at_most("max_bytes", limits.max_bytes, static_cast<double>(validation.file_bytes));
  at_most("max_latency", limits.max_latency_us, validation.measurement.latency.p50_us);
  at_most("max_latency_p99", limits.max_latency_p99_us, validation.measurement.latency.p99_us);
  at_most("max_peak_memory", limits.max_peak_memory,
          static_cast<double>(validation.measurement.process_bytes));
  if (limits.min_retention) {
    const std::optional<double>& judged =
        validation.judged_retention ? validation.judged_retention : validation.retention;
    out.push_back({.name = "min_retention",
                   .limit = *limits.min_retention,
                   .measured = judged,
                   .is_met = judged && *judged >= *limits.min_retention});
  }
  return out;
}

Json verdicts_json(std::span<const Verdict> verdicts) {
  Json out{Json::Object{}};
  for (const Verdict& verdict : verdicts) {
    Json entry;
    entry.set("limit", verdict.limit);
    entry.set("measured", optional_number(verdict.measured));
    entry.set("met", verdict.is_met);
    out.set(verdict.name, std::move(entry));
  }
  return out;
}

Json report_json(const Validation& validation) {
  const Measurement& measured = validation.measurement;
  Json hashes;
  hashes.set("model_sha256", validation.model_sha256);
  hashes.set("file_sha256", validation.file_sha256);
  Json out;
  out.set("file_bytes", validation.file_bytes);
  out.set("latency_us", percentiles_json(measured.latency));
  out.set("spin_us", percentiles_json(measured.spin));
  out.set("runs", measured.runs);
  out.set("threads", measured.threads);
  out.set("core", measured.core);
  out.set("peak_memory_bytes", measured.process_bytes);
  out.set("activation_bytes", measured.activation_bytes);
  out.set("labels", validation.counts.labels);
  out.set("accuracy", validation.counts.accuracy());
  out.set("agreement", optional_number(validation.counts.agreement()));
  out.set("retention", optional_number(validation.retention));
  out.set("hashes", std::move(hashes));
  return out;
}

}  // namespace coppice
