#include "comm/message_parts.h"
#include "comm/messages.h"
#include "comm/regrow_wire.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

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

constexpr std::size_t kCandidateBytes = std::size_t{4} * 8;

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

constexpr std::size_t kCodecOptionsBytes = std::size_t{4} * 8;

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

void write_client_codecs(WireWriter& out, const ClientTask& task,
                         std::span<const CodecOptions> client_options) {
  out.u64(client_options.size());
  for (const CodecOptions& options : client_options) write_codec_options(out, options);
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

std::vector<std::uint8_t> encode_task_of(const ClientTask& task,
                                         std::span<const std::int64_t> cohort,
                                         std::span<const CodecOptions> client_options) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  out.i64(task.round);
  out.text(task.track);
  out.i64(task.model_version);
  out.i64(task.mask_epoch);
  write_plan(out, task.plan);
  write_grid(out, task.update_grid);
  out.i64(task.max_weight);
  out.text(task.codec);
  write_codec_options(out, task.codec_options);
  write_client_codecs(out, task, client_options);
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
  out.int64s(cohort);
  finish_frame(FrameType::kTask, frame);
  return frame;
}

}  // namespace

std::vector<std::uint8_t> encode_task(const ClientTask& task) {
  return encode_task_of(task, task.cohort, task.client_options);
}

std::vector<std::uint8_t> encode_task_for(const ClientTask& task, std::int64_t client) {
  std::vector<CodecOptions> options;
  if (!task.client_options.empty()) options.push_back(codec_options_of(task, client));
  return encode_task_of(task, {&client, 1}, options);
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

}  // namespace coppice
