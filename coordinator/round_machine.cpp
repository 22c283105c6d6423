#include "coordinator/round_machine.h"

#include <algorithm>  // for sort, max, nth_element
#include <map>        // for map
#include <numeric>    // for accumulate

#include "core/coupling.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr int kUpdateRangeBits =
    6;  // a parameter moves by less than 64 in a round, or the report is refused

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

RoundMachine::RoundMachine(ExperimentConfig config, std::vector<std::int64_t> weights,
                           ServerState dense)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      dense_(std::move(dense)),
      state_(dense_),
      plans_(plan_rounds(config_)),
      strategy_(make_strategy(config_.strategy)) {
  if (config_.compress.prune.pruner != "none") pruner_ = make_pruner(config_.compress.prune.pruner);
  const auto population = static_cast<std::int64_t>(weights_.size());
  if (config_.train.clients_per_round > population) {
    throw ConfigError(text("train.clients_per_round: ", config_.train.clients_per_round,
                           " clients a round, but the data has only ", population));
  }
  if (pruner_ != nullptr)
    couple(dense_.graph);  // an op that cannot be pruned through is named before round 1
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
  if (plan().round == 1) {  // a track starts from the dense model
    const std::int64_t position = state_.position;
    state_ = dense_;
    state_.position = position;
  }
  task_ = make_task();
  reports_ = {};
  const std::int64_t units = task_.ballot ? couple(state_.graph).unit_count : 0;
  reports_.sums[sum_key()] = empty_sums(task_, state_.graph.parameter_count(), units);
  record_ = {};
  record_.position = state_.position;
  record_.plan = plan();
  waiting_ = sites_;
  step_ = Step::kTraining;
  return SendTask{task_};
}

std::vector<std::int64_t> RoundMachine::select_cohort(std::int64_t round) const {
  const auto population = static_cast<std::int64_t>(weights_.size());
  std::vector<std::int64_t> cohort;
  RandomStream stream({config_.seed, Purpose::kCohort, -1, round});
  cohort = random_permutation(population, stream);
  if (config_.train.clients_per_round > 0)
    cohort.resize(static_cast<std::size_t>(config_.train.clients_per_round));
  std::sort(cohort.begin(), cohort.end());
  return cohort;
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
  strategy_->plan(task.plan);
  task.codec = config_.comm.codec;
  task.cohort = select_cohort(task.round);
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
  return task;
}

// Asked for whenever the plan wants a smaller model than there is, so that a round whose ballots
// were all refused is made up for by the next.
void RoundMachine::add_ballot(ClientTask& task) const {
  if (pruner_ == nullptr || plan().keep_fraction >= 1.0) return;
  const auto most =
      static_cast<std::int64_t>(plan().keep_fraction * static_cast<double>(dense_parameters()));
  if (state_.graph.parameter_count() <= most) return;
  const Coupling coupling = couple(state_.graph);
  std::vector<std::int64_t> counts = keep_counts(state_.graph, coupling, most);
  bool is_smaller = false;
  for (std::size_t g = 0; g < counts.size(); ++g) {
    is_smaller =
        is_smaller || counts[g] < static_cast<std::int64_t>(coupling.groups[g].units.size());
  }
  if (!is_smaller) return;  // every group is down to its last unit: what is left cannot go
  task.ballot = BallotRequest{
      .pruner = config_.compress.prune.pruner, .keep_counts = std::move(counts), .grid = {1, 0}};
}

std::optional<Action> RoundMachine::handle(Event event) {
  if (auto* report = std::get_if<ReportArrived>(&event)) return take(std::move(*report));
  if (std::holds_alternative<TimedOut>(event)) {
    require(Step::kTraining, "timeout");
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
    return was_awaited && step_ == Step::kTraining ? close_if_complete() : std::nullopt;
  }
  if (const auto* evaluated = std::get_if<Evaluated>(&event)) {
    require(Step::kEvaluating, "evaluation");
    record_.test = evaluated->test;
    record_.validation = evaluated->validation;
    step_ = Step::kCommitting;
    return CommitRound{record_};
  }
  require(Step::kCommitting, "commit");
  ++state_.position;
  return next_task();
}

std::optional<Action> RoundMachine::take(ReportArrived event) {
  const bool is_ours = event.report.sums.contains(sum_key());
  if (step_ != Step::kTraining || !is_ours || waiting_.erase(event.site) == 0) return std::nullopt;
  std::erase_if(event.report.sums, [&](const auto& entry) { return entry.first != sum_key(); });
  try {
    reports_.merge(event.report);
  } catch (const Error&) {
    std::throw_with_nested(
        Error(text("round ", task_.round, ": report of site ", event.site, " cannot be added")));
  }
  return close_if_complete();
}

std::optional<Action> RoundMachine::close_if_complete() {
  if (!waiting_.empty()) return std::nullopt;
  return close_round();
}

Action RoundMachine::close_round() {
  fill_rows();
  apply_sums(reports_.sums.at(sum_key()));
  record_.parameters = state_.graph.parameter_count();
  record_.density =
      static_cast<double>(record_.parameters) / static_cast<double>(dense_parameters());
  record_.mask_epoch = state_.mask_epoch;
  if (record_.plan.is_evaluated) {
    step_ = Step::kEvaluating;
    return Evaluate{};
  }
  step_ = Step::kCommitting;
  return CommitRound{record_};
}

// One row a client of the cohort, by client; those without a report are missing. Summed in that
// order, so that doubles do not depend on who reported first.
void RoundMachine::fill_rows() {
  std::map<std::int64_t, ClientRow> by_client;
  for (const std::int64_t client : task_.cohort) by_client[client].client = client;
  for (const ClientRow& row : reports_.rows) {
    const auto found = by_client.find(row.client);
    if (found != by_client.end()) found->second = row;
  }
  std::vector<double> norms;
  double loss = 0.0;
  std::int64_t weight = 0;
  for (const auto& [client, row] : by_client) {
    record_.rows.push_back(row);
    record_.bytes_up += row.bytes_up;
    record_.bytes_down += row.bytes_down;
    record_.samples += row.samples;
    record_.refused += row.status == ClientStatus::kRefused ? 1 : 0;
    record_.missing += row.status == ClientStatus::kMissing ? 1 : 0;
    if (row.status != ClientStatus::kAccepted) continue;
    norms.push_back(row.update_norm);
    loss += row.loss * static_cast<double>(row.weight);
    weight += row.weight;
  }
  record_.train_loss = weight == 0 ? 0.0 : loss / static_cast<double>(weight);
  if (!norms.empty()) state_.norm_median = median(std::move(norms));
  record_.norm_median = state_.norm_median;
}

void RoundMachine::apply_sums(const NamedSums& sums) {
  const ExactSum& update = sums.at(kUpdateSum);
  if (update.weight() == 0) return;
  std::vector<float> mean(static_cast<std::size_t>(update.size()));
  update.mean(mean);
  strategy_->apply(mean, state_.parameters, state_.strategy_state);
  if (task_.ballot) shrink_model(sums);
}

void RoundMachine::shrink_model(const NamedSums& sums) {
  const ExactSum& ballots = sums.at(kBallotSum);
  const Coupling coupling = couple(state_.graph);
  const std::vector<double> scores = pruner_->scores(state_.graph, coupling, state_.parameters);
  const std::vector<std::uint8_t> keep =
      count_votes(coupling, ballots.units(), scores, task_.ballot->keep_counts);
  Shrunk shrunk = shrink(state_.graph, coupling, keep);
  state_.parameters = shrunk.map.gather(state_.parameters);
  shrink_state(state_.strategy_state, shrunk.map);
  state_.graph = std::move(shrunk.graph);
  ++state_.mask_epoch;
}

void RoundMachine::require(Step step, const char* event) const {
  if (step_ != step)
    throw Error(
        text("round machine: ", event, " is not expected at step ", static_cast<int>(step_)));
}

}  // namespace coppice
