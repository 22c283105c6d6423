#pragma once
// Clients whose updates are made up: a function of (client, round), so that a round machine can be
// driven without training anything, and its result compared bit by bit.

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/calibration.h"
#include "algorithms/pruner.h"
#include "algorithms/regrowth.h"
#include "algorithms/sensitivity.h"
#include "coordinator/round_machine.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "tests/models/input_specs.h"

namespace coppice {

inline ServerState small_model(std::int64_t hidden = 8) {
  ServerState state;
  state.graph = Graph::build(numbers({3}), {{"linear", "hidden", {}, {.out = hidden}},
                                            {"relu", "relu", {}, {}},
                                            {"linear", "out", {}, {.out = 2}}});
  const ParameterArena arena = initial_parameters(state.graph, 1);
  state.parameters.assign(arena.values().begin(), arena.values().end());
  return state;
}

inline ExperimentConfig small_config(std::int64_t rounds) {
  ExperimentConfig config;
  config.train.rounds = rounds;
  config.train.norm_bound_factor = 0.0;
  return config;
}

inline ExperimentConfig pruned_config(std::int64_t rounds) {
  ExperimentConfig config = small_config(rounds);
  config.compress.prune.pruner = "magnitude";
  config.compress.prune.target = 0.5;
  config.compress.control = true;
  config.strategy.server_momentum = 0.5;
  return config;
}

struct FakePopulation {
  std::vector<std::int64_t> weights = {10, 20, 5, 40, 7, 13};
  std::set<std::int64_t> poisoned = {};         // send NaN
  std::set<std::int64_t> poisoned_tables = {};  // tables that are not finite
  std::set<std::int64_t> silent = {};           // send no mask ballot
  double scale = 0.01;                          // of updates
  // Of a client's 1,000 held-out labels the dense model has 800 right; how many of them the model
  // in `state` has wrong.
  std::function<std::int64_t(const ServerState& state)> lost = [](const ServerState&) { return 0; };
  std::int64_t hidden = 8;  // units of the model that is trained

  std::vector<float> update(std::int64_t client, std::int64_t round, std::size_t size) const {
    RandomStream stream({.client = client, .task = round});
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(scale * stream.next_normal());
    if (poisoned.contains(client)) values[0] = std::numeric_limits<float>::quiet_NaN();
    return values;
  }

  // What a site that hosts `clients` would report.
  RankReport train(const ClientTask& task, const ServerState& state,
                   const std::vector<std::int64_t>& clients) const {
    if (task.calibration) return count(task, clients);
    if (task.sense) return sense(task, state, clients);
    if (task.gate) return compare(task, state, clients);
    const Coupling coupling = couple(state.graph);
    RankReport report;
    NamedSums& sums = report.sums[{task.model_version, 0, task.mask_epoch}];
    sums = empty_sums(task, {.parameters = state.sent_parameters(), .units = coupling.unit_count});
    for (const std::int64_t client : clients)
      report.rows.push_back(add(task, state, coupling, client, sums));
    return report;
  }

  // Client k saw nothing but magnitudes around (k + 1) / 8, on both sides of zero.
  RankReport count(const ClientTask& task, const std::vector<std::int64_t>& clients) const {
    RankReport report;
    NamedSums& sums = report.sums[sum_key(task)];
    sums = empty_sums(task, {});
    for (const std::int64_t client : clients) {
      std::vector<float> counts(task.calibration->nodes.size() * kHistogramBins);
      for (std::size_t node = 0; node < task.calibration->nodes.size(); ++node) {
        const float value = 0.125F * static_cast<float>(client + 1);
        for (const float side : {value, -value})
          counts[node * kHistogramBins + static_cast<std::size_t>(histogram_bin(side))] = 100.0F;
      }
      const bool is_poisoned = poisoned.contains(client);
      if (!is_poisoned && !sums.at(kHistogramSum).add(counts, 1)) throw Error("counts did not fit");
      ClientRow row;
      row.client = client;
      row.bytes_up = 10;
      row.status = is_poisoned ? ClientStatus::kRefused : ClientStatus::kAccepted;
      row.reason = is_poisoned ? RefusalReason::kNotFinite : RefusalReason::kNone;
      report.rows.push_back(row);
    }
    return report;
  }

  RankReport compare(const ClientTask& task, const ServerState& state,
                     const std::vector<std::int64_t>& clients) const {
    RankReport report;
    NamedSums& sums = report.sums[sum_key(task)];
    sums = empty_sums(task, {});
    for (const std::int64_t client : clients) {
      const auto wrong = static_cast<float>(lost(state));
      const std::vector<float> counts{800.0F - wrong, wrong, 0.0F, 200.0F};
      if (!sums.at(kOutcomeSum).add(counts, 1)) throw Error("outcomes did not fit");
      ClientRow row;
      row.client = client;
      row.bytes_up = 10;
      row.status = ClientStatus::kAccepted;
      report.rows.push_back(row);
    }
    return report;
  }

  // Client k's loss bends along every weight by k + 1.
  RankReport sense(const ClientTask& task, const ServerState& state,
                   const std::vector<std::int64_t>& clients) const {
    RankReport report;
    NamedSums& sums = report.sums[sum_key(task)];
    sums = empty_sums(task, {});
    const ChannelWidths widths(state.graph, state.parameters);
    for (const std::int64_t client : clients) {
      ClientRow row;
      row.client = client;
      row.bytes_up = 10;
      row.weight = weights.at(static_cast<std::size_t>(client));
      std::vector<float> table;
      for (const std::string& name : task.sense->parameters) {
        const ParameterSpec& spec =
            *std::ranges::find(state.graph.parameters(), name, &ParameterSpec::name);
        const std::vector<float> curvature(static_cast<std::size_t>(spec.size()),
                                           static_cast<float>(client + 1));
        const auto values = std::span(state.parameters)
                                .subspan(static_cast<std::size_t>(spec.offset), curvature.size());
        for (const double loss :
             sensitivity(spec, values, curvature, task.sense->candidates, widths))
          table.push_back(static_cast<float>(loss));
      }
      if (poisoned_tables.contains(client)) table[0] = std::numeric_limits<float>::infinity();
      const bool is_added = sums.at(kSensitivitySum).add(table, row.weight);
      row.status = is_added ? ClientStatus::kAccepted : ClientStatus::kRefused;
      row.reason = is_added ? RefusalReason::kNone : RefusalReason::kNotFinite;
      report.rows.push_back(row);
    }
    return report;
  }

 private:
  ClientRow add(const ClientTask& task, const ServerState& state, const Coupling& coupling,
                std::int64_t client, NamedSums& sums) const {
    ClientRow row;
    row.client = client;
    row.weight = weights.at(static_cast<std::size_t>(client));
    row.samples = row.weight;
    row.loss = 1.0 / static_cast<double>(client + task.round);
    row.bytes_up = 100;
    const std::vector<float> values =
        update(client, task.round, static_cast<std::size_t>(state.sent_parameters()));
    double squares = 0.0;
    for (const float value : values) squares += double{value} * double{value};
    row.update_norm = std::sqrt(squares);
    const bool is_long = task.norm_bound > 0.0 && row.update_norm > task.norm_bound;
    if (is_long || !sums.at(kUpdateSum).add(values, row.weight)) {
      row.status = ClientStatus::kRefused;
      row.reason = is_long ? RefusalReason::kNormAboveBound : RefusalReason::kNotFinite;
      return row;
    }
    row.status = ClientStatus::kAccepted;
    if (task.regrow) vote(task, state, values, client, sums);
    if (task.ballot) {
      const IndexMap kept = state.mask.size() > 0
                                ? IndexMap::kept_by(state.mask)
                                : IndexMap::identity(state.graph.parameter_count());
      std::vector<float> local = state.parameters;
      for (std::size_t i = 0; i < values.size(); ++i)
        local[static_cast<std::size_t>(kept.source()[i])] += values[i] * 50.0F;  // opinions differ
      const auto scores =
          make_pruner(task.ballot->pruner)->scores(state.graph, coupling, local, {});
      const auto ballot = make_ballot(coupling, scores, task.ballot->keep_counts);
      if (!sums.at(kBallotSum).add(ballot, row.weight)) throw Error("a ballot did not fit");
    }
    return row;
  }

  // Gradients are made up as well.
  void vote(const ClientTask& task, const ServerState& state, std::span<const float> values,
            std::int64_t client, NamedSums& sums) const {
    if (silent.contains(client)) return;
    std::vector<float> local = IndexMap::kept_by(state.mask).scatter(values);
    for (std::size_t i = 0; i < local.size(); ++i) local[i] += state.parameters[i];
    RandomStream stream({.seed = 2, .client = client, .task = task.round});
    std::vector<float> ballot;
    for (const RegrowLayer& layer : task.regrow->layers) {
      const ParameterSpec& spec =
          *std::ranges::find(state.graph.parameters(), layer.parameter, &ParameterSpec::name);
      Mask mask(spec.size(), false);
      std::vector<float> gradient;
      for (std::int64_t i = 0; i < spec.size(); ++i) {
        mask.set(i, state.mask.keeps(spec.offset + i));
        gradient.push_back(static_cast<float>(stream.next_normal()));
      }
      const auto trained = std::span<const float>(local).subspan(
          static_cast<std::size_t>(spec.offset), gradient.size());
      const auto votes = layer_ballot(mask, trained, gradient, layer.kept, layer.grown);
      ballot.insert(ballot.end(), votes.begin(), votes.end());
    }
    if (!sums.at(kMaskBallotSum).add(ballot, weights.at(static_cast<std::size_t>(client))))
      throw Error("a mask ballot did not fit");
  }
};

// Drives a machine to the end. Clients are dealt to `sites` sites and reports arrive in an order
// that depends on `deal`.
class FakeDriver {
 public:
  FakeDriver(const ExperimentConfig& config, FakePopulation population, std::int64_t sites = 1,
             std::int64_t deal = 0, AllocationInputs known = {})
      : population_(std::move(population)),
        sites_(sites),
        deal_(deal),
        machine_(config, population_.weights, small_model(population_.hidden), {},
                 std::move(known)) {}

  RoundMachine& machine() { return machine_; }
  const std::vector<RoundRecord>& records() const { return records_; }
  const std::vector<ClientTask>& tasks() const { return tasks_; }
  const ServerState& state() const { return machine_.state(); }

  Action begin() {
    std::set<std::int64_t> all;
    for (std::int64_t site = 0; site < sites_; ++site) all.insert(site);
    return machine_.begin(all);
  }

  // At most `rounds` commits; returns what would be done next.
  Action run(Action action, std::size_t rounds = std::numeric_limits<std::size_t>::max()) {
    while (!std::holds_alternative<Finish>(action) && rounds > 0) {
      rounds -= std::holds_alternative<CommitRound>(action) ? 1 : 0;
      action = obey(action);
    }
    return action;
  }
  const ServerState& run_all() {
    run(begin());
    return state();
  }

  std::map<std::int64_t, RankReport> reports(const ClientTask& task) const {
    std::map<std::int64_t, std::vector<std::int64_t>> hosted;
    for (std::int64_t site = 0; site < sites_; ++site) hosted[site] = {};
    for (const std::int64_t client : task.cohort)
      hosted[(client * (2 * deal_ + 1) + deal_) % sites_].push_back(client);
    std::map<std::int64_t, RankReport> out;
    for (const auto& [site, clients] : hosted)
      out[site] = population_.train(task, state(), clients);
    return out;
  }

  Action obey(const Action& action) {
    if (const auto* send = std::get_if<SendTask>(&action)) return deliver(send->task);
    if (std::holds_alternative<Evaluate>(action)) {
      return machine_
          .handle(Evaluated{EvalSums::of_batch(3, 4, 2.0), EvalSums::of_batch(1, 4, 2.0)})
          .value();
    }
    records_.push_back(std::get<CommitRound>(action).record);
    return machine_.handle(Committed{}).value();
  }

 private:
  Action deliver(const ClientTask& task) {
    tasks_.push_back(task);
    auto waiting = reports(task);
    RandomStream order({.client = deal_, .task = task.round});
    std::optional<Action> next;
    for (const std::int64_t site : random_permutation(sites_, order)) {
      next = machine_.handle(ReportArrived{site, std::move(waiting.at(site))});
    }
    return next.value();
  }

  FakePopulation population_;
  std::int64_t sites_;
  std::int64_t deal_;
  RoundMachine machine_;
  std::vector<RoundRecord> records_;
  std::vector<ClientTask> tasks_;
};

}  // namespace coppice
