#include "comm/messages.h"

#include "comm/regrow_wire.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kRowBytes = 10 * 8 + 2;
constexpr std::uint32_t kMaxBins = 1U << 22U;
constexpr std::uint32_t kMaxCount = 1U << 24U;

// An enumerator up to and including `last`.
template <typename Enum>
Enum read_enum(WireReader& in, Enum last, const char* what) {
  const std::uint8_t value = in.u8();
  if (value > static_cast<std::uint8_t>(last))
    throw WireError(text(what, ": unknown value ", int{value}));
  return static_cast<Enum>(value);
}

void write_optimizer(WireWriter& out, const OptimizerSpec& optimizer) {
  out.u8(static_cast<std::uint8_t>(optimizer.kind));
  for (const double value : {optimizer.lr, optimizer.momentum, optimizer.weight_decay,
                             optimizer.beta1, optimizer.beta2, optimizer.epsilon}) {
    out.f64(value);
  }
}

OptimizerSpec read_optimizer(WireReader& in) {
  OptimizerSpec optimizer;
  optimizer.kind = read_enum(in, OptimizerKind::kAdamW, "optimizer");
  for (double* value : {&optimizer.lr, &optimizer.momentum, &optimizer.weight_decay,
                        &optimizer.beta1, &optimizer.beta2, &optimizer.epsilon}) {
    *value = in.f64();
  }
  return optimizer;
}

void write_memory(WireWriter& out, const MemorySpec& memory) {
  out.i64(memory.micro_batch);
  out.u8(memory.relu_bits ? 1 : 0);
  out.u8(memory.fused_pools ? 1 : 0);
  out.i64(memory.saved_bits);
  out.i64(memory.freeze_first);
}

MemorySpec read_memory(WireReader& in) {
  MemorySpec memory;
  memory.micro_batch = in.i64();
  const std::uint8_t relu_bits = in.u8();
  const std::uint8_t fused_pools = in.u8();
  memory.saved_bits = in.i64();
  memory.freeze_first = in.i64();
  if (memory.micro_batch < 0 || relu_bits > 1 || fused_pools > 1 || memory.freeze_first < 0 ||
      (memory.saved_bits != 32 && memory.saved_bits != 8)) {
    throw WireError(text("memory: a micro-batch of ", memory.micro_batch, ", relu_bits ",
                         int{relu_bits}, ", fused_pools ", int{fused_pools}, ", saved_bits ",
                         memory.saved_bits, ", freeze_first ", memory.freeze_first));
  }
  memory.relu_bits = relu_bits == 1;
  memory.fused_pools = fused_pools == 1;
  return memory;
}

void write_plan(WireWriter& out, const LocalPlan& plan) {
  write_optimizer(out, plan.optimizer);
  out.i64(plan.epochs);
  out.i64(plan.steps);
  out.i64(plan.batch_size);
  out.f64(plan.clip_norm);
  out.f64(plan.prox_mu);
  out.text(plan.linear_correction);
  out.u64(plan.loss_terms.size());
  for (const LossTerm& term : plan.loss_terms) {
    out.u8(static_cast<std::uint8_t>(term.kind));
    out.f64(term.weight);
    out.f64(term.temperature);
    out.text(term.buffer);
  }
  out.u8(static_cast<std::uint8_t>(plan.mask_rule));
  out.u64(plan.keep_state.size());
  for (const std::string& name : plan.keep_state) out.text(name);
  write_memory(out, plan.memory);
}

// A count of items that take at least `least` bytes each.
std::size_t read_count(WireReader& in, std::size_t least, const char* what) {
  const std::uint64_t count = in.u64();
  if (count > in.left() / least)
    throw WireError(text(what, ": ", count, " items in ", in.left(), " bytes"));
  return static_cast<std::size_t>(count);
}

LocalPlan read_plan(WireReader& in) {
  LocalPlan plan;
  plan.optimizer = read_optimizer(in);
  plan.epochs = in.i64();
  plan.steps = in.i64();
  plan.batch_size = in.i64();
  plan.clip_norm = in.f64();
  plan.prox_mu = in.f64();
  plan.linear_correction = in.text();
  plan.loss_terms.resize(read_count(in, 25, "loss terms"));
  for (LossTerm& term : plan.loss_terms) {
    term.kind = read_enum(in, LossKind::kFeatureMatching, "loss term");
    term.weight = in.f64();
    term.temperature = in.f64();
    term.buffer = in.text();
  }
  plan.mask_rule = read_enum(in, MaskRule::kKeepZero, "mask rule");
  plan.keep_state.resize(read_count(in, 8, "kept state"));
  for (std::string& name : plan.keep_state) name = in.text();
  plan.memory = read_memory(in);
  return plan;
}

void write_calibration(WireWriter& out, const std::optional<CalibrationRequest>& calibration) {
  out.u8(calibration ? 1 : 0);
  if (!calibration) return;
  out.u64(calibration->nodes.size());
  for (const std::string& node : calibration->nodes) out.text(node);
  out.i64(calibration->samples);
  write_grid(out, calibration->grid);
}

std::optional<CalibrationRequest> read_calibration(WireReader& in) {
  const std::uint8_t is_there = in.u8();
  if (is_there > 1) throw WireError("task: expected 0 or 1 calibrations");
  if (is_there == 0) return std::nullopt;
  CalibrationRequest calibration;
  calibration.nodes.resize(read_count(in, 8, "nodes"));
  for (std::string& node : calibration.nodes) node = in.text();
  calibration.samples = in.i64();
  calibration.grid = read_grid(in);
  return calibration;
}

// u64 size, then a bit each, the first in the lowest; a length in bytes between.
template <typename IsSet>
void write_bits(WireWriter& out, std::size_t size, IsSet&& is_set) {
  std::vector<std::uint8_t> bits((size + 7) / 8);
  for (std::size_t i = 0; i < size; ++i) {
    if (is_set(i)) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << (i % 8));
  }
  out.u64(size);
  out.bytes(bits);
}

struct Bits {
  std::size_t size = 0;
  std::vector<std::uint8_t> bytes;

  bool is_set(std::size_t i) const { return ((bytes[i / 8] >> (i % 8)) & 1U) != 0; }
};

Bits read_bits(WireReader& in, const char* what) {
  const std::uint64_t size = in.u64();
  Bits bits{.size = static_cast<std::size_t>(size), .bytes = in.bytes()};
  if (size > bits.bytes.size() * 8 || bits.bytes.size() != (size + 7) / 8)
    throw WireError(text(what, ": ", size, " bits in ", bits.bytes.size(), " bytes"));
  if (size % 8 != 0 && bits.bytes.back() >> (size % 8) != 0)
    throw WireError(text(what, ": bits past its ", size));
  return bits;
}

constexpr std::size_t kCandidateBytes = 4 * 8;

void write_sense(WireWriter& out, const std::optional<SenseRequest>& sense) {
  out.u8(sense ? 1 : 0);
  if (!sense) return;
  out.u64(sense->parameters.size());
  for (const std::string& parameter : sense->parameters) out.text(parameter);
  out.u64(sense->candidates.size());
  for (const WeightCandidate& candidate : sense->candidates) {
    out.f64(candidate.density);
    out.f64(candidate.block_density);
    out.i64(candidate.bits);
    out.f64(candidate.channels);
  }
  out.i64(sense->batches);
  out.i64(sense->half_batch);
  out.int64s(sense->class_counts);
  write_grid(out, sense->grid);
}

std::optional<SenseRequest> read_sense(WireReader& in) {
  const std::uint8_t is_there = in.u8();
  if (is_there > 1) throw WireError("task: expected 0 or 1 requests for sensitivities");
  if (is_there == 0) return std::nullopt;
  SenseRequest sense;
  sense.parameters.resize(read_count(in, 8, "parameters"));
  for (std::string& parameter : sense.parameters) parameter = in.text();
  sense.candidates.resize(read_count(in, kCandidateBytes, "candidates"));
  for (WeightCandidate& candidate : sense.candidates) {
    candidate.density = in.f64();
    candidate.block_density = in.f64();
    candidate.bits = static_cast<int>(in.i64());
    candidate.channels = in.f64();
  }
  sense.batches = in.i64();
  sense.half_batch = in.i64();
  sense.class_counts = in.int64s();
  sense.grid = read_grid(in);
  return sense;
}

void write_gate(WireWriter& out, const std::optional<GateRequest>& gate) {
  out.u8(gate ? 1 : 0);
  if (!gate) return;
  out.i64(gate->batch_size);
  write_grid(out, gate->grid);
}

std::optional<GateRequest> read_gate(WireReader& in) {
  const std::uint8_t is_there = in.u8();
  if (is_there > 1) throw WireError("task: expected 0 or 1 gates");
  if (is_there == 0) return std::nullopt;
  GateRequest gate;
  gate.batch_size = in.i64();
  if (gate.batch_size < 1) throw WireError(text("task: a gate's batch of ", gate.batch_size));
  gate.grid = read_grid(in);
  return gate;
}

constexpr std::size_t kCodecOptionsBytes = 4 * 8;

void write_codec_options(WireWriter& out, const CodecOptions& options) {
  out.i64(options.bits);
  out.f64(options.fraction);
  out.i64(options.levels);
  out.i64(options.max_bytes);
}

CodecOptions read_codec_options(WireReader& in) {
  CodecOptions options;
  options.bits = in.i64();
  options.fraction = in.f64();
  options.levels = in.i64();
  options.max_bytes = in.i64();
  return options;
}

void write_client_codecs(WireWriter& out, const ClientTask& task) {
  out.u64(task.client_options.size());
  for (const CodecOptions& options : task.client_options) write_codec_options(out, options);
  out.u8(task.residual_decay ? 1 : 0);
  if (task.residual_decay) out.f64(*task.residual_decay);
}

void read_client_codecs(WireReader& in, ClientTask& task) {
  task.client_options.resize(read_count(in, kCodecOptionsBytes, "client options"));
  for (CodecOptions& options : task.client_options) options = read_codec_options(in);
  const std::uint8_t has_feedback = in.u8();
  if (has_feedback > 1) throw WireError("task: expected 0 or 1 decays of residuals");
  if (has_feedback == 1) task.residual_decay = in.f64();
}

std::vector<std::uint8_t> framed(FrameType type, const std::vector<std::uint8_t>& payload) {
  std::vector<std::uint8_t> out;
  write_frame(type, payload, out);
  return out;
}

void read_row(WireReader& in, ClientRow& row) {
  row.client = in.i64();
  row.weight = in.i64();
  row.status = read_enum(in, ClientStatus::kMissing, "status");
  row.reason = read_enum(in, RefusalReason::kNormAboveBound, "reason");
  row.loss = in.f64();
  row.correct = in.i64();
  row.labels = in.i64();
  row.samples = in.i64();
  row.update_norm = in.f64();
  row.seconds = in.f64();
  row.bytes_up = in.i64();
  row.bytes_down = in.i64();
}

}  // namespace

std::vector<std::uint8_t> encode_task(const ClientTask& task) {
  std::vector<std::uint8_t> payload;
  WireWriter out(payload);
  out.i64(task.round);
  out.text(task.track);
  out.i64(task.model_version);
  out.i64(task.mask_epoch);
  write_plan(out, task.plan);
  write_grid(out, task.update_grid);
  out.i64(task.max_weight);
  out.text(task.codec);
  write_codec_options(out, task.codec_options);
  write_client_codecs(out, task);
  out.f64(task.norm_bound);
  out.u8(task.ballot ? 1 : 0);
  if (task.ballot) {
    out.text(task.ballot->pruner);
    out.int64s(task.ballot->keep_counts);
    out.i64(task.ballot->batches);
    out.i64(task.ballot->half_batch);
    write_grid(out, task.ballot->grid);
  }
  write_calibration(out, task.calibration);
  write_sense(out, task.sense);
  write_gate(out, task.gate);
  write_regrow(out, task.regrow);
  out.int64s(task.cohort);
  return framed(FrameType::kTask, payload);
}

ClientTask decode_task(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kTask, frame), "task");
  ClientTask task;
  task.round = in.i64();
  task.track = in.text();
  task.model_version = in.i64();
  task.mask_epoch = in.i64();
  task.plan = read_plan(in);
  task.update_grid = read_grid(in);
  task.max_weight = in.i64();
  task.codec = in.text();
  task.codec_options = read_codec_options(in);
  read_client_codecs(in, task);
  task.norm_bound = in.f64();
  const std::uint8_t has_ballot = in.u8();
  if (has_ballot > 1) throw WireError("task: expected 0 or 1 ballots");
  if (has_ballot == 1) {
    BallotRequest ballot;
    ballot.pruner = in.text();
    ballot.keep_counts = in.int64s();
    ballot.batches = in.i64();
    ballot.half_batch = in.i64();
    if (ballot.batches < 1 || ballot.half_batch < 1)
      throw WireError("task: expected half-batches of at least 1 for a ballot");
    ballot.grid = read_grid(in);
    task.ballot = std::move(ballot);
  }
  task.calibration = read_calibration(in);
  task.sense = read_sense(in);
  task.gate = read_gate(in);
  task.regrow = read_regrow(in);
  task.cohort = in.int64s();
  in.expect_end();
  return task;
}

std::vector<std::uint8_t> encode_model(const ModelMessage& model) {
  std::vector<std::uint8_t> payload;
  WireWriter out(payload);
  out.text(model.graph_json);
  out.text(model.plan_json);
  const Mask& mask = model.mask;
  write_bits(out, static_cast<std::size_t>(mask.size()),
             [&](std::size_t i) { return mask.keeps(static_cast<std::int64_t>(i)); });
  if (mask.size() == 0) {
    out.floats(model.parameters);
  } else {
    out.floats(IndexMap::kept_by(mask).gather(model.parameters));
  }
  return framed(FrameType::kModel, payload);
}

ModelMessage decode_model(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kModel, frame), "model");
  ModelMessage model;
  model.graph_json = in.text();
  model.plan_json = in.text();
  const Bits bits = read_bits(in, "model: mask");
  model.parameters = in.floats();
  in.expect_end();
  if (bits.size == 0) return model;
  model.mask = Mask(static_cast<std::int64_t>(bits.size), false);
  for (std::size_t i = 0; i < bits.size; ++i)
    model.mask.set(static_cast<std::int64_t>(i), bits.is_set(i));
  const IndexMap kept = IndexMap::kept_by(model.mask);
  if (kept.new_size() != std::ssize(model.parameters))
    throw WireError(
        text("model: ", model.parameters.size(), " parameters, its mask keeps ", kept.new_size()));
  model.parameters = kept.scatter(model.parameters);
  return model;
}

std::vector<std::uint8_t> encode_rows(std::span<const ClientRow> rows) {
  std::vector<std::uint8_t> frame;
  frame.reserve(kFrameHeaderBytes + sizeof(std::uint64_t) + rows.size() * kRowBytes);
  begin_frame(frame);
  WireWriter out(frame);
  out.u64(rows.size());
  for (const ClientRow& row : rows) {
    out.i64(row.client);
    out.i64(row.weight);
    out.u8(static_cast<std::uint8_t>(row.status));
    out.u8(static_cast<std::uint8_t>(row.reason));
    out.f64(row.loss);
    out.i64(row.correct);
    out.i64(row.labels);
    out.i64(row.samples);
    out.f64(row.update_norm);
    out.f64(row.seconds);
    out.i64(row.bytes_up);
    out.i64(row.bytes_down);
  }
  finish_frame(FrameType::kReport, frame);
  return frame;
}

std::int64_t row_frame_bytes() {
  return static_cast<std::int64_t>(kFrameHeaderBytes + sizeof(std::uint64_t) + kRowBytes);
}

std::vector<ClientRow> decode_rows(std::span<const std::uint8_t> frame) {
  std::vector<ClientRow> rows;
  append_rows(frame, rows);
  return rows;
}

void append_rows(std::span<const std::uint8_t> frame, std::vector<ClientRow>& rows) {
  WireReader in(read_frame(FrameType::kReport, frame), "rows");
  const std::size_t before = rows.size();
  rows.resize(before + read_count(in, kRowBytes, "rows"));
  try {
    for (ClientRow& row : std::span(rows).subspan(before)) read_row(in, row);
    in.expect_end();
  } catch (const WireError&) {
    rows.resize(before);
    throw;
  }
}

std::vector<std::uint8_t> encode_ballot(std::span<const float> ballot) {
  std::vector<std::uint8_t> payload;
  WireWriter out(payload);
  write_bits(out, ballot.size(), [&](std::size_t i) { return ballot[i] != 0.0F; });
  return framed(FrameType::kBallot, payload);
}

std::vector<float> decode_ballot(std::span<const std::uint8_t> frame, std::size_t units) {
  WireReader in(read_frame(FrameType::kBallot, frame), "ballot");
  const Bits bits = read_bits(in, "ballot");
  in.expect_end();
  if (bits.size != units)
    throw WireError(text("ballot: expected ", units, " units, got ", bits.size));
  std::vector<float> ballot(bits.size);
  for (std::size_t i = 0; i < ballot.size(); ++i) ballot[i] = bits.is_set(i) ? 1.0F : 0.0F;
  return ballot;
}

std::vector<std::uint8_t> encode_sensitivities(std::span<const float> table) {
  std::vector<std::uint8_t> payload;
  WireWriter(payload).floats(table);
  return framed(FrameType::kSensitivities, payload);
}

std::vector<float> decode_sensitivities(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kSensitivities, frame), "sensitivities");
  std::vector<float> table = in.floats();
  in.expect_end();
  return table;
}

std::vector<std::uint8_t> encode_histograms(std::span<const float> counts) {
  std::vector<std::uint8_t> payload;
  WireWriter out(payload);
  out.u32(static_cast<std::uint32_t>(counts.size()));
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0.0F) continue;
    out.u32(static_cast<std::uint32_t>(i));
    out.u32(static_cast<std::uint32_t>(counts[i]));
  }
  return framed(FrameType::kHistograms, payload);
}

std::vector<float> decode_histograms(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kHistograms, frame), "histograms");
  const std::uint32_t size = in.u32();
  if (size > kMaxBins) throw WireError(text("histograms: ", size, " bins, at most ", kMaxBins));
  std::vector<float> counts(size);
  std::int64_t before = -1;
  while (in.left() > 0) {
    const std::uint32_t bin = in.u32();
    const std::uint32_t count = in.u32();
    if (bin >= size || std::int64_t{bin} <= before || count == 0 || count > kMaxCount)
      throw WireError(text("histograms: count ", count, " in bin ", bin, " of ", size));
    counts[bin] = static_cast<float>(count);
    before = bin;
  }
  return counts;
}

}  // namespace coppice
