#include "coordinator/run_record.h"

namespace coppice {
namespace {

Json optional_accuracy(const std::optional<EvalSums>& sums) {
  return sums && sums->labels > 0 ? Json(sums->accuracy()) : Json();
}

// The share of the round's seconds that each rank was at work.
Json utilisation(const RoundSeconds& seconds) {
  Json::Array shares;
  for (const double busy : seconds.busy)
    shares.push_back(seconds.train > 0.0 ? busy / seconds.train : 0.0);
  return shares;
}

Json optional_loss(const std::optional<EvalSums>& sums) {
  return sums && sums->labels > 0 ? Json(sums->loss()) : Json();
}

const char* status_text(ClientStatus status) {
  switch (status) {
    case ClientStatus::kAccepted:
      return "accepted";
    case ClientStatus::kRefused:
      return "refused";
    case ClientStatus::kMissing:
      return "missing";
  }
  return "unknown";
}

constexpr std::size_t kSpareBytes = 16;  // by which rows are longer than the first
constexpr const char* kColumns[] = {"client",      "weight",  "status",   "reason",    "loss",
                                    "update_norm", "seconds", "bytes_up", "bytes_down"};

// In the order of kColumns.
Json row_json(const ClientRow& row) {
  const Json reason =
      row.reason == RefusalReason::kNone ? Json() : Json(std::string(reason_text(row.reason)));
  return Json::Array{row.client,  row.weight,   status_text(row.status),
                     reason,      row.loss,     row.update_norm,
                     row.seconds, row.bytes_up, row.bytes_down};
}

// [[bytes, predicted loss], ...].
Json reachable_json(const std::vector<ReachableFile>& files) {
  Json::Array out;
  for (const ReachableFile& file : files)
    out.emplace_back(Json::Array{file.bytes, file.predicted_loss});
  return out;
}

template <typename Value>
Json optional_json(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json allotted_layers_json(const std::vector<LayerAllotment>& layers) {
  Json::Array out;
  for (const LayerAllotment& layer : layers) {
    Json::Array bounds;
    if (layer.is_bound_by_bytes) bounds.emplace_back("max_bytes");
    if (layer.is_bound_by_microseconds) bounds.emplace_back("max_latency");
    Json entry;
    entry.set("parameter", layer.parameter);
    entry.set("channels", layer.candidate.channels);
    entry.set("density", layer.candidate.density);
    entry.set("block_density", layer.candidate.block_density);
    entry.set("bits", layer.candidate.bits);
    entry.set("bytes", layer.bytes);
    entry.set("microseconds", optional_json(layer.microseconds));
    entry.set("predicted_loss", optional_json(layer.predicted_loss));
    entry.set("bound_by", std::move(bounds));
    out.push_back(std::move(entry));
  }
  return out;
}

Json allotment_json(const std::optional<ModelAllotment>& allotment) {
  if (!allotment) return {};
  Json out;
  out.set("bytes", allotment->bytes);
  out.set("file_bytes", allotment->file_bytes);
  out.set("microseconds", allotment->microseconds ? Json(*allotment->microseconds) : Json());
  out.set("fits", allotment->fits);
  out.set("predicted_loss", allotment->predicted_loss ? Json(*allotment->predicted_loss) : Json());
  out.set("gap", allotment->gap ? Json(*allotment->gap) : Json());
  out.set("reachable", reachable_json(allotment->reachable));
  out.set("layers", allotted_layers_json(allotment->layers));
  return out;
}

Json gate_json(const std::optional<GateRecord>& gate) {
  if (!gate) return {};
  Json out;
  out.set("both", gate->counts.both);
  out.set("only_dense", gate->counts.only_dense);
  out.set("only_compressed", gate->counts.only_compressed);
  out.set("neither", gate->counts.neither);
  const Retention none;
  const Retention& retention = gate->retention ? *gate->retention : none;
  out.set("retention", gate->retention ? Json(retention.estimate) : Json());
  out.set("lower_bound", optional_json(retention.lower_bound));
  out.set("upper_bound", optional_json(retention.upper_bound));
  out.set("passed", gate->has_passed);
  out.set("progress", optional_json(gate->progress));
  out.set("file_bytes", optional_json(gate->file_bytes));
  return out;
}

}  // namespace

Json metrics_json(const RoundRecord& record, const RoundSeconds& seconds) {
  Json out;
  out.set("round", record.plan.round);
  out.set("phase", record.plan.phase);
  out.set("test_accuracy", optional_accuracy(record.test));
  out.set("test_loss", optional_loss(record.test));
  out.set("validation_accuracy", optional_accuracy(record.validation));
  out.set("train_loss", record.train_loss);
  out.set("seconds", seconds.train);
  out.set("eval_seconds", seconds.evaluate);
  out.set("utilisation", utilisation(seconds));
  out.set("train_memory_bytes",
          seconds.train_memory_bytes ? Json(*seconds.train_memory_bytes) : Json());
  out.set("samples", record.samples);
  out.set("bytes_up", record.bytes_up);
  out.set("bytes_down", record.bytes_down);
  out.set("parameters", record.parameters);
  out.set("density", record.density);
  out.set("mean_bits", record.mean_bits);
  out.set("allotment", allotment_json(record.allotment));
  out.set("gate", gate_json(record.gate));
  out.set("refused", record.refused);
  out.set("missing", record.missing);
  out.set("clients", static_cast<std::int64_t>(record.rows.size()));
  return out;
}

std::string CommitRecord::to_text(const RoundRecord& record) const {
  Json out;
  out.set("type", "commit");
  out.set("position", position);
  out.set("norm_median", norm_median);
  out.set("checkpoint", checkpoint);
  out.set("checkpoint_sha256", checkpoint_sha256);
  out.set("metrics", metrics);
  std::string text = out.dump();
  text.back() = ',';  // the object goes on
  text += R"("clients":{"columns":)" + Json::array(kColumns).dump() + R"(,"rows":[)";
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const std::string row = row_json(record.rows[i]).dump();
    if (i == 0) text.reserve(text.size() + (row.size() + kSpareBytes) * record.rows.size());
    if (i > 0) text += ',';
    text += row;
  }
  return text += "]}}";
}

CommitRecord CommitRecord::from_json(const Json& json) {
  return {.position = json.at("position").as_integer(),
          .norm_median = json.at("norm_median").as_number(),
          .checkpoint = json.at("checkpoint").as_text(),
          .checkpoint_sha256 = json.at("checkpoint_sha256").as_text(),
          .metrics = json.at("metrics")};
}

Json RunIdentity::to_json() const {
  Json out;
  out.set("type", "start");
  out.set("version", version);
  out.set("config_sha256", config_sha256);
  out.set("data_sha256", data_sha256);
  out.set("executor", executor);
  out.set("isa", isa);
  out.set("libraries", libraries);
  return out;
}

RunIdentity RunIdentity::from_json(const Json& json) {
  return {.version = json.at("version").as_text(),
          .config_sha256 = json.at("config_sha256").as_text(),
          .data_sha256 = json.at("data_sha256").as_text(),
          .executor = json.at("executor").as_text(),
          .isa = json.at("isa").as_text(),
          .libraries = json.at("libraries").as_text()};
}

}  // namespace coppice
