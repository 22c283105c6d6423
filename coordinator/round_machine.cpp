#include "coordinator/round_machine.h"

#include <algorithm>  // for binary_search, equal, max, min, sort
#include <numeric>    // for accumulate
#include <span>       // for span
#include <utility>    // for move

#include "algorithms/quantize.h"
#include "algorithms/regrowth.h"
#include "comm/messages.h"
#include "coordinator/allocation.h"
#include "coordinator/client_rows.h"
#include "coordinator/cohort.h"
#include "coordinator/downlink.h"
#include "coordinator/pruning.h"
#include "coordinator/quantization.h"
#include "coordinator/regrowth.h"
#include "coordinator/round_tasks.h"
#include "coordinator/step_control.h"
#include "coordinator/uplink.h"
#include "core/coupling.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr int kUpdateRangeBits =
    6;  // a parameter moves by less than 64 in a round, or the report is refused

std::int64_t frame_bytes(const Graph& graph, const std::vector<float>& parameters) {
  return std::ssize(encode_model({graph.to_json(), "", parameters}));
}

}  // namespace

RoundMachine::RoundMachine(ExperimentConfig config, std::vector<std::int64_t> weights,
                           ServerState dense, OtherModels others, AllocationInputs known)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      dense_(std::move(dense)),
      others_(std::move(others)),
      known_(std::move(known)),
      state_(dense_),
      plans_(plan_rounds(config_)),
      strategy_(make_strategy(config_.strategy)) {
  if (config_.compress.prune.pruner != "none") pruner_ = make_pruner(config_.compress.prune.pruner);
  if (config_.compress.allocates()) {
    allocator_ = make_allocator(config_.compress.allocate.allocator);
    check_allocation(config_.compress, *allocator_,
                     others_.student ? others_.student->graph : dense_.graph, known_);
  }
  is_regrowing_ = regrow_method(config_.compress.allocate.allocator).has_value();
  if (is_regrowing_) check_regrowth(config_.compress);
  const auto population = static_cast<std::int64_t>(weights_.size());
  if (config_.train.clients_per_round > population) {
    throw ConfigError(text("train.clients_per_round: ", config_.train.clients_per_round,
                           " clients a round, but the data has only ", population));
  }
  if (pruner_ != nullptr)  // an op that cannot be pruned through is named before round 1
    couple(others_.student ? others_.student->graph : dense_.graph);
  check_uplink(config_.comm, population,
               (others_.student ? *others_.student : dense_).graph.parameter_count());
  const std::int64_t total = std::accumulate(weights_.begin(), weights_.end(), std::int64_t{0});
  grid_for(kUpdateRangeBits, std::max<std::int64_t>(1, total));
}

void RoundMachine::restore(ServerState state) {
  require(Step::kIdle, "restore");
  if (state.position > static_cast<std::int64_t>(plans_.size())) {
    throw ConfigError(
        text("resume: ", state.position, " rounds are committed, the config has ", plans_.size()));
  }
  state_ = std::move(state);
}

Action RoundMachine::begin(std::set<std::int64_t> sites) {
  require(Step::kIdle, "begin");
  sites_ = std::move(sites);
  return next_task();
}

Action RoundMachine::next_task() {
  if (state_.position == static_cast<std::int64_t>(plans_.size())) {
    step_ = Step::kFinished;
    return Finish{};
  }
  if (plan().round == 1) {
    const std::int64_t position = state_.position;
    std::vector<float> teacher = std::move(state_.teacher);  // the control, if it is one
    state_ = start_of_track();
    state_.position = position;
    state_.teacher = std::move(teacher);
  }
  record_ = {};
  record_.position = state_.position;
  record_.plan = plan();
  record_.norm_median = state_.norm_median;
  return ask(Question::kUpdate, make_task());
}

const ServerState& RoundMachine::start_of_track() const {
  return plan().track == kMainTrack && others_.student ? *others_.student : dense_;
}

Action RoundMachine::ask(Question question, ClientTask task) {
  question_ = question;
  if (question == Question::kUpdate) max_weight_ = task.max_weight;
  task_ = std::move(task);
  changes_.clear();
  if (sends_changes())
    changes_ = send_changes(config_.comm.downlink, config_.seed, std::ssize(weights_), state_);
  reports_ = {};
  const std::int64_t units = task_.ballot ? couple(state_.graph).unit_count : 0;
  reports_.sums[sum_key(task_)] =
      empty_sums(task_, {.parameters = state_.sent_parameters(), .units = units});
  waiting_ = sites_;
  step_ = Step::kAwaitingReports;
  return SendTask{task_};
}

ClientTask RoundMachine::make_task() const {
  const TrainConfig& train = config_.train;
  ClientTask task;
  task.round = plan().round;
  task.track = plan().track;
  task.model_version = state_.position;
  task.mask_epoch = state_.mask_epoch;
  task.plan.optimizer = train.optimizer;
  task.plan.optimizer.lr *= schedule_factor(train.schedule, task.round, train.rounds);
  task.plan.epochs = train.local_steps > 0 ? 0 : train.local_epochs;
  task.plan.steps = train.local_steps;
  task.plan.batch_size = train.batch_size;
  task.plan.clip_norm = train.clip_norm;
  task.plan.memory = train.memory;
  if (plan().track == kControlTrack)  // what the result is measured against is not made cheaper
    task.plan.memory = {.micro_batch = train.memory.micro_batch};
  if (state_.mask.size() > 0) task.plan.mask_rule = MaskRule::kKeepZero;
  strategy_->plan(task.plan);
  task.cohort = select_cohort(config_, std::ssize(weights_), task.round);
  if (plan().track == kMainTrack)  // the control is trained without any compression
    plan_uplink(config_.comm, weights_, state_, task);
  task.max_weight = 0;
  for (const std::int64_t client : task.cohort)
    task.max_weight += weights_[static_cast<std::size_t>(client)];
  task.max_weight = std::max<std::int64_t>(1, task.max_weight);
  task.update_grid = grid_for(kUpdateRangeBits, task.max_weight);
  task.norm_bound = train.max_update_norm;
  if (train.norm_bound_factor > 0.0 && state_.norm_median > 0.0) {
    const double bound = train.norm_bound_factor * state_.norm_median;
    task.norm_bound = task.norm_bound > 0.0 ? std::min(task.norm_bound, bound) : bound;
  }
  add_ballot(task);
  if (adjusts()) task.regrow = regrow_request(state_, config_.compress.allocate);
  if (plan().distills && teacher().graph != nullptr)
    add_distillation(config_.compress.distill, task.plan);
  return task;
}

RoundMachine::TeacherView RoundMachine::teacher() const {
  if (others_.teacher) return {&others_.teacher->graph, &others_.teacher->parameters};
  if (state_.teacher.empty()) return {};
  return {&dense_.graph, &state_.teacher};
}

ClientTask RoundMachine::follow_up() const { return follow_up_task(task_, state_, record_); }

ClientTask RoundMachine::sense_task() const {
  ClientTask task = follow_up();
  task.max_weight = max_weight_;
  task.sense = sense_request(state_, config_.compress, task.max_weight, known_);
  return task;
}

// Not once a model at the target has passed: then there is nothing left to choose.
bool RoundMachine::senses() const {
  return plan().choices > state_.choices && state_.steps.progress < StepControl::kWhole &&
         !adjusts();
}

// Also in a quantized round that has no grids yet, because all clients were refused when they were
// counted.
bool RoundMachine::calibrates() const {
  return plan().calibrates || (plan().is_quantized && state_.plan.activations.empty());
}

// Asked for whenever the plan wants a smaller model than there is, so that a round whose ballots
// were all refused is made up for by the next.
void RoundMachine::add_ballot(ClientTask& task) const {
  if (pruner_ == nullptr || plan().keep_fraction >= 1.0) return;
  const auto most = static_cast<std::int64_t>(
      plan().keep_fraction * static_cast<double>(start_of_track().graph.parameter_count()));
  task.ballot = ballot_request(state_, config_.compress.prune, most);
}

std::optional<Action> RoundMachine::handle(Event event) {
  if (auto* report = std::get_if<ReportArrived>(&event)) return take(std::move(*report));
  if (std::holds_alternative<TimedOut>(event)) {
    require(Step::kAwaitingReports, "timeout");
    waiting_.clear();
    return close_if_complete();
  }
  if (const auto* joined = std::get_if<Joined>(&event)) {
    sites_.insert(joined->site);
    return std::nullopt;
  }
  if (const auto* left = std::get_if<Left>(&event)) {
    sites_.erase(left->site);
    const bool was_awaited = waiting_.erase(left->site) > 0;
    return was_awaited && step_ == Step::kAwaitingReports ? close_if_complete() : std::nullopt;
  }
  if (const auto* evaluated = std::get_if<Evaluated>(&event)) {
    require(Step::kEvaluating, "evaluation");
    record_.test = evaluated->test;
    record_.validation = evaluated->validation;
    step_ = Step::kCommitting;
    return CommitRound{std::move(record_)};
  }
  require(Step::kCommitting, "commit");
  ++state_.position;
  return next_task();
}

std::optional<Action> RoundMachine::take(ReportArrived event) {
  const SumKey key = sum_key(task_);
  const auto sums = event.report.sums.find(key);
  // The tasks of a round are told apart by what was summed.
  const bool is_ours =
      sums != event.report.sums.end() &&
      std::ranges::equal(sums->second, reports_.sums.at(key), {}, &NamedSums::value_type::first,
                         &NamedSums::value_type::first);
  if (step_ != Step::kAwaitingReports || !is_ours || waiting_.erase(event.site) == 0)
    return std::nullopt;
  std::erase_if(event.report.sums, [&](const auto& entry) { return entry.first != key; });
  try {
    reports_.merge(std::move(event.report));
  } catch (const Error&) {
    std::throw_with_nested(
        Error(text("round ", task_.round, ": report of site ", event.site, " cannot be added")));
  }
  return close_if_complete();
}

std::optional<Action> RoundMachine::close_if_complete() {
  if (!waiting_.empty()) return std::nullopt;
  if (sends_changes()) count_changes(state_, reports_.rows);
  if (question_ == Question::kUpdate) close_training();
  if (question_ == Question::kTable) close_sensing();
  if (question_ == Question::kCounts) close_calibration();
  if (question_ == Question::kGate || question_ == Question::kComparison) close_gate();
  return ask_next();
}

// What is left of the round after its last question.
Action RoundMachine::ask_next() {
  switch (question_) {
    case Question::kUpdate:
      if (plan().gates && state_.before_choice) return ask(Question::kGate, gate_task(follow_up()));
      [[fallthrough]];
    case Question::kGate:
      if (senses()) {
        fold_norms(state_);  // a mask is of the network that is deployed
        return ask(Question::kTable, sense_task());
      }
      [[fallthrough]];
    case Question::kTable:
      if (calibrates()) {
        fold_norms(state_);
        return ask(Question::kCounts,
                   calibration_task(follow_up(), state_, config_.compress.quantize));
      }
      [[fallthrough]];
    case Question::kCounts:
      if (plan().is_compared) return ask(Question::kComparison, gate_task(follow_up()));
      [[fallthrough]];
    case Question::kComparison:
      break;
  }
  return close_round();
}

void RoundMachine::close_training() {
  set_rows(record_, std::move(reports_.rows), task_.cohort);
  state_.norm_median = record_.norm_median;
  count_teacher_bytes();
  if (reports_.sums.at(sum_key(task_)).at(kUpdateSum).weight() > 0)
    learn_uplink(task_, record_.train_loss, config_.train.rounds, std::move(reports_.residuals),
                 config_.comm, state_);
  apply_sums(reports_.sums.at(sum_key(task_)));
  average_models();
  if (task_.regrow) close_regrowth();
  if (!state_.plan.is_empty()) refresh_weight_grids();
  keep_teacher();
}

void RoundMachine::close_regrowth() {
  const ExactSum& ballots = reports_.sums.at(sum_key(task_)).at(kMaskBallotSum);
  if (ballots.weight() == 0) return;  // nobody was accepted: the next round asks again
  regrow_weights(state_, config_.compress.allocate, *task_.regrow, ballots, config_.seed,
                 task_.round);
  state_.choices = plan().choices;
}

void RoundMachine::close_sensing() {
  add_follow_up_rows(record_, reports_.rows);
  const ExactSum& table = reports_.sums.at(sum_key(task_)).at(kSensitivitySum);
  if (table.weight() == 0) return;  // all were refused: the next round asks again
  AllocationTarget target = allocation_target(config_.compress, plan().choices);
  if (config_.compress.is_gated()) {
    keep_model(state_, plans_.back().choices - plan().choices + 1,
               StepControl::kWhole / config_.compress.allocate.steps);
    target.slack = slack_of(state_);
  }
  record_.allotment =
      allocate_weights(state_, *allocator_, *task_.sense, table, target, known_.latencies);
  state_.choices = plan().choices;
}

void RoundMachine::close_calibration() {
  add_follow_up_rows(record_, reports_.rows);
  set_activation_grids(state_, task_.calibration->nodes, reports_.sums.at(sum_key(task_)));
  refresh_weight_grids();
}

// A choice that nobody can judge has not passed.
void RoundMachine::close_gate() {
  add_follow_up_rows(record_, reports_.rows);
  count_reference_bytes();
  record_.gate = judge(reports_.sums.at(sum_key(task_)).at(kOutcomeSum), config_.compress);
  if (question_ == Question::kComparison) return;
  record_.gate->progress = share_of(state_.tried);
  record_.gate->file_bytes = bytes_as_chosen(state_, config_.compress.quantize, known_.latencies);
  settle(state_, record_.gate->has_passed);
}

bool RoundMachine::is_at_target() const {
  const CompressConfig& compress = config_.compress;
  if (!compress.allocates()) return false;
  return compress.is_gated() ? state_.steps.progress == StepControl::kWhole
                             : state_.choices == compress.allocate.steps;
}

void RoundMachine::refresh_weight_grids() {
  set_weight_grids(state_, config_.compress.quantize);
  const std::optional<std::int64_t>& max_bytes = config_.compress.constraints.max_bytes;
  if (is_at_target() && max_bytes) fit_file(state_, *max_bytes, known_.latencies);
}

Action RoundMachine::close_round() {
  record_.parameters = state_.graph.parameter_count();
  record_.density =
      static_cast<double>(state_.sent_parameters()) / static_cast<double>(dense_parameters());
  record_.mask_epoch = state_.mask_epoch;
  record_.mean_bits = mean_bits(state_.plan, state_.graph);
  if (record_.plan.is_evaluated) {
    step_ = Step::kEvaluating;
    return Evaluate{};
  }
  step_ = Step::kCommitting;
  return CommitRound{std::move(record_)};
}

// Every client of the cohort that listens to the teacher for the first time has received it.
// Cohorts are a function of seed and round, so that a resumed run counts the same.
void RoundMachine::count_teacher_bytes() {
  if (!is_distilled(task_.plan)) return;
  const TeacherView view = teacher();
  const std::int64_t bytes = frame_bytes(*view.graph, *view.parameters);
  const std::set<std::int64_t> have = clients_before([&](const RoundPlan& earlier) {
    return earlier.distills && earlier.round > state_.teacher_round;
  });
  add_bytes_down(record_, bytes, [&](std::int64_t client) { return !have.contains(client); });
}

// The same of the dense model that a gate compares with, which may be the teacher.
void RoundMachine::count_reference_bytes() {
  const DistillConfig& distill = config_.compress.distill;
  const bool is_taught = distill.teacher == "control";
  if (is_taught && plan().distills) return;
  const std::int64_t bytes =
      others_.reference
          ? frame_bytes(others_.reference->graph, others_.reference->parameters)
          : frame_bytes(dense_.graph, dense_.parameters);  // the control's are as many
  const std::set<std::int64_t> have = clients_before([&](const RoundPlan& earlier) {
    return earlier.gates || earlier.is_compared || (is_taught && earlier.distills);
  });
  add_bytes_down(record_, bytes, [&](std::int64_t client) {
    return std::ranges::binary_search(task_.cohort, client) && !have.contains(client);
  });
}

std::set<std::int64_t> RoundMachine::clients_before(const IsPlanned& is_planned) const {
  return clients_of(config_, std::ssize(weights_),
                    std::span(plans_).first(static_cast<std::size_t>(state_.position)), is_planned);
}

void RoundMachine::apply_sums(const NamedSums& sums) {
  const ExactSum& update = sums.at(kUpdateSum);
  if (update.weight() == 0) return;
  std::vector<float> mean(static_cast<std::size_t>(update.size()));
  update.mean(mean);
  if (state_.mask.size() > 0) mean = IndexMap::kept_by(state_.mask).scatter(mean);
  strategy_->apply(mean, state_.parameters, state_.strategy_state);
  if (state_.mask.size() > 0) state_.mask.apply(state_.parameters);
  // Updates that came late bring no ballots: the next shrink makes up for it.
  if (!task_.ballot || sums.at(kBallotSum).weight() == 0) return;
  keep_teacher();
  shrink_model(state_, *task_.ballot, sums.at(kBallotSum));
}

// Codes near the border of two go to and fro from round to round, and the last model is one of many
// (Nagel et al. 2022); their mean is none of them (Izmailov et al. 2018, "Averaging weights leads
// to wider optima").
void RoundMachine::average_models() {
  if (plan().averaged == 0) return;
  std::vector<float>& mean = state_.averaged;
  if (mean.empty()) mean.resize(state_.parameters.size());
  const auto count = static_cast<double>(plan().averaged);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double others = double{mean[i]};
    mean[i] = static_cast<float>(others + (double{state_.parameters[i]} - others) / count);
  }
  if (!plan().is_last_of_track) return;
  state_.parameters = std::move(mean);
  mean.clear();
  if (state_.mask.size() > 0) state_.mask.apply(state_.parameters);
}

// The control at its end, or the main model before it is first made smaller or coarser.
void RoundMachine::keep_teacher() {
  const std::string& teacher = config_.compress.distill.teacher;
  const bool is_control_done = plan().track == kControlTrack && plan().is_last_of_track;
  const bool is_warm = plan().track == kMainTrack && state_.teacher.empty() &&
                       state_.mask_epoch == 0 && (task_.ballot || senses() || calibrates());
  if (teacher == "control" && is_control_done) {
    state_.teacher = state_.parameters;
  } else if (teacher == "warmup" && is_warm) {
    state_.teacher = state_.parameters;
    state_.teacher_round = plan().round;
  }
}

void RoundMachine::require(Step step, const char* event) const {
  if (step_ != step)
    throw Error(
        text("round machine: ", event, " is not expected at step ", static_cast<int>(step_)));
}

}  // namespace coppice
