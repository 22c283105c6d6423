#include "core/config/rules.h"

#include <algorithm>  // for clamp, max
#include <cmath>      // for llround

#include "core/text.h"

namespace coppice {
namespace {

std::optional<Conflict> model_conflict(const ModelConfig& model) {
  if (!model.layers.empty() && !model.name.empty()) {
    return Conflict{"model.name", text("'", model.name,
                                       "' and model.layers are given together; give one of them")};
  }
  if (model.layers.empty() && model.name.empty()) {
    return Conflict{"model.name", "neither a name nor model.layers is given"};
  }
  return std::nullopt;
}

std::optional<Conflict> cohort_conflict(const ExperimentConfig& config) {
  const PartitionConfig& partition = config.data.partition;
  if (partition.clients == 0 && partition.scheme != "by_key") {
    return Conflict{"data.partition.clients", text("0 takes all natural clients of by_key; ",
                                                   partition.scheme, " needs at least 1")};
  }
  if (partition.clients > 0 && config.train.clients_per_round > partition.clients) {
    return Conflict{"train.clients_per_round",
                    text("expected at most the ", partition.clients,
                         " of data.partition.clients, got ", config.train.clients_per_round)};
  }
  return std::nullopt;
}

std::optional<Conflict> train_conflict(const TrainConfig& train) {
  if (train.optimizer.kind == OptimizerKind::kAdamW && train.optimizer.momentum != 0) {
    return Conflict{"train.optimizer.momentum",
                    text("adamw has none, got ", train.optimizer.momentum,
                         "; set beta1 instead and momentum to 0")};
  }
  if (train.schedule.warmup_rounds >= train.rounds) {
    return Conflict{"train.schedule.warmup_rounds",
                    text("expected less than the ", train.rounds, " of train.rounds, got ",
                         train.schedule.warmup_rounds)};
  }
  return std::nullopt;
}

std::optional<Conflict> distill_conflict(const CompressConfig& compress) {
  const DistillConfig& distill = compress.distill;
  if (!distill.student.name.empty() && !distill.student.layers.empty()) {
    return Conflict{"compress.distill.student",
                    text("'", distill.student.name,
                         "' and student_layers are given together; give one of them")};
  }
  if (distill.teacher == "control" && !compress.control) {
    return Conflict{"compress.distill.teacher",
                    "there is no control to learn from; set compress.control: true"};
  }
  if (distill.teacher == "warmup" && distill.has_student()) {
    return Conflict{"compress.distill.teacher",
                    "a separate student has no warm-up; learn from control or from a file"};
  }
  if (distill.teacher == "warmup" && compress.prune.pruner == "none" && !compress.quantizes()) {
    return Conflict{"compress.distill.teacher",
                    "nothing is compressed after a warm-up; set a pruner, an allocator or "
                    "compress.quantize.bits"};
  }
  if (!distill.feature.empty() && distill.teacher == "none")
    return Conflict{"compress.distill.feature", "there is no teacher to match; set one"};
  return std::nullopt;
}

std::optional<Conflict> allocate_conflict(const CompressConfig& compress) {
  const AllocateConfig& allocate = compress.allocate;
  if (!compress.allocates()) return std::nullopt;
  if (!compress.constraints.max_bytes && !compress.constraints.max_latency_us)
    return Conflict{"compress.allocate.allocator",
                    "there is no size or time to reach; set compress.constraints.max_bytes or "
                    "max_latency"};
  if (compress.constraints.max_latency_us && compress.latency_table.empty())
    return Conflict{"compress.constraints.max_latency",
                    "an allocator has to know what layers take to meet it; set "
                    "compress.latency_table to a file of `coppice bench lut`"};
  if (allocate.start >= allocate.end)
    return Conflict{"compress.allocate.start",
                    text("expected less than the ", allocate.end, " of compress.allocate.end, got ",
                         allocate.start)};
  if (allocate.densities.empty())
    return Conflict{"compress.allocate.densities", "expected at least one"};
  if (allocate.bits.empty()) return Conflict{"compress.allocate.bits", "expected at least one"};
  for (const std::int64_t bits : allocate.bits) {
    if (bits == 5 || bits == 7)
      return Conflict{"compress.allocate.bits", text("expected 2, 3, 4, 6 or 8, got ", bits)};
  }
  return std::nullopt;
}

// The round at whose end a fraction of the rounds is over; never the last one.
std::int64_t round_at(double fraction, std::int64_t rounds) {
  const std::int64_t latest = std::max<std::int64_t>(1, rounds - 1);
  return std::clamp<std::int64_t>(std::llround(fraction * static_cast<double>(rounds)), 1, latest);
}

std::optional<Conflict> gate_conflict(const ExperimentConfig& config) {
  const CompressConfig& compress = config.compress;
  if (!compress.is_gated()) return std::nullopt;
  const char* key = "compress.gate.recovery_rounds";
  if (!compress.allocates())
    return Conflict{key, "there are no choices to judge; set compress.allocate.allocator"};
  if (!compress.constraints.min_retention)
    return Conflict{key, "there is nothing to judge by; set compress.constraints.min_retention"};
  if (compress.prune.pruner != "none")
    return Conflict{key,
                    "channels that are gone do not come back; set compress.prune.pruner: none"};
  const std::int64_t rounds = config.train.rounds;
  const std::int64_t between =
      round_at(compress.allocate.end, rounds) - round_at(compress.allocate.start, rounds);
  if (between >= compress.gate.recovery_rounds) return std::nullopt;
  return Conflict{key, text("expected at most the ", between, " of the ", rounds,
                            " rounds between compress.allocate.start and end, got ",
                            compress.gate.recovery_rounds)};
}

std::optional<Conflict> compress_conflict(const ExperimentConfig& config) {
  const CompressConfig& compress = config.compress;
  if (compress.quantize.reduce_range && compress.quantize.bits != 8 && !compress.allocates()) {
    return Conflict{
        "compress.quantize.reduce_range",
        text("narrows codes of 8 bits; compress.quantize.bits is ", compress.quantize.bits)};
  }
  if (compress.prune.start >= compress.prune.end) {
    return Conflict{"compress.prune.start",
                    text("expected less than the ", compress.prune.end,
                         " of compress.prune.end, got ", compress.prune.start)};
  }
  if (compress.control && !compress.dense_reference.empty()) {
    return Conflict{"compress.dense_reference",
                    "compress.control is true as well; keep one of them"};
  }
  if (auto conflict = allocate_conflict(compress)) return conflict;
  if (auto conflict = gate_conflict(config)) return conflict;
  if (auto conflict = distill_conflict(compress)) return conflict;
  if (!compress.constraints.min_retention) return std::nullopt;
  if (!compress.control && compress.dense_reference.empty()) {
    return Conflict{"compress.constraints.min_retention",
                    "there is no dense model to compare with; set compress.control: true or give a "
                    "compress.dense_reference"};
  }
  if (config.data.validation_fraction == 0) {
    return Conflict{
        "compress.constraints.min_retention",
        "retention is decided on validation samples; set data.validation_fraction above 0"};
  }
  return std::nullopt;
}

std::optional<Conflict> comm_conflict(const CommConfig& comm) {
  if (comm.budget && comm.codec != "rotated" && comm.codec != "qsgd") {
    return Conflict{"comm.budget",
                    text("codec '", comm.codec, "' keeps to no bytes; rotated and qsgd do")};
  }
  if (comm.error_feedback && comm.codec != "topk" && comm.codec != "stc") {
    return Conflict{"comm.error_feedback",
                    text("codec '", comm.codec, "' leaves nothing out; topk and stc do")};
  }
  if (comm.downlink.codec == "dadaquant") {
    return Conflict{"comm.downlink.codec", "dadaquant is about clients; qsgd has the same codes"};
  }
  return std::nullopt;
}

std::optional<Conflict> network_conflict(const NetworkConfig& network) {
  if (network.silence_us <= network.heartbeat_us) {
    return Conflict{"network.silence",
                    "expected more than network.heartbeat: a connection that beats in time would "
                    "be lost"};
  }
  if (network.quorum < 1.0 && !network.deadline_us) {
    return Conflict{"network.quorum",
                    "a round waits for all of its devices unless network.deadline is set"};
  }
  if (network.late > 0 && (!network.deadline_us || network.quorum == 1.0)) {
    return Conflict{"network.late",
                    "nothing is late unless network.deadline is set and network.quorum is below 1"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Conflict> find_conflict(const ExperimentConfig& config) {
  if (auto conflict = model_conflict(config.model)) return conflict;
  if (auto conflict = cohort_conflict(config)) return conflict;
  if (auto conflict = train_conflict(config.train)) return conflict;
  if (auto conflict = comm_conflict(config.comm)) return conflict;
  if (auto conflict = network_conflict(config.network)) return conflict;
  return compress_conflict(config);
}

}  // namespace coppice
