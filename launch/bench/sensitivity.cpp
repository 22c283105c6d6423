#include <fmt/core.h>

#include <algorithm>  // for max, min
#include <utility>    // for move

#include "algorithms/block_axes.h"
#include "algorithms/quantize.h"
#include "algorithms/sensitivity.h"
#include "client/evaluation.h"
#include "client/local_clients.h"
#include "client/sensing.h"
#include "coordinator/allocation.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/bench/rank_correlation.h"
#include "launch/bench/rounds.h"
#include "launch/population.h"
#include "launch/tables.h"
#include "launch/world.h"

namespace coppice {
namespace {

constexpr std::int64_t kSampleDraw =
    -1;  // task of the stream that picks samples; choices have 0, 1, ...

// Some of all clients' training samples.
std::vector<std::int64_t> drawn_samples(const Partition& partition, std::int64_t count,
                                        std::uint64_t seed) {
  std::vector<std::int64_t> all;
  for (const ClientData& client : partition.clients)
    all.insert(all.end(), client.train.begin(), client.train.end());
  RandomStream stream({seed, Purpose::kGenerated, -1, kSampleDraw});
  std::vector<std::int64_t> out;
  for (const std::int64_t place : random_permutation(std::ssize(all), stream)) {
    if (std::ssize(out) == count) break;
    out.push_back(all[static_cast<std::size_t>(place)]);
  }
  return out;
}

// A candidate for each layer, all equally likely.
std::vector<std::size_t> drawn_choice(const SenseRequest& request, std::int64_t draw,
                                      std::uint64_t seed) {
  RandomStream stream({seed, Purpose::kGenerated, -1, draw});
  std::vector<std::size_t> out;
  for (std::size_t layer = 0; layer < request.parameters.size(); ++layer)
    out.push_back(static_cast<std::size_t>(stream.next_below(request.candidates.size())));
  return out;
}

// A model whose layers are compressed by choice, and what that is predicted and seen to do.
class Probe {
 public:
  Probe(World world, Checkpoint model, const ExperimentConfig& config)
      : world_(std::move(world)),
        model_(std::move(model)),
        seed_(config.seed),
        clients_(*world_.dataset, world_.partition, world_.executor.name, seed_) {
    clients_.set_graph(model_.graph);
    const Population population = population_of(world_);
    weights_ = population.train_samples();
    class_totals_ = population.class_totals();
    for (const std::int64_t weight : weights_) samples_ += weight;
    ServerState state;
    state.graph = model_.graph;
    request_ = sense_request(state, config.compress, samples_);
  }

  const SenseRequest& request() const { return request_; }
  bool has_classes() const { return !class_totals_.empty(); }

  // The sum of the clients' tables as a round makes it.
  std::vector<double> table(bool is_balanced = false) {
    ClientTask task;
    task.track = "main";
    task.max_weight = samples_;
    task.sense = request_;
    if (is_balanced) task.sense->class_counts = class_totals_;
    for (std::int64_t client = 0; client < std::ssize(weights_); ++client)
      task.cohort.push_back(client);
    std::size_t next = 0;
    const RankReport report = clients_.run(
        task, {model_.parameters},
        [&]() -> std::optional<std::int64_t> {
          if (next == task.cohort.size()) return std::nullopt;
          return task.cohort[next++];
        },
        0);
    const ExactSum& sum = report.sums.at(sum_key(task)).at(kSensitivitySum);
    std::vector<float> mean(static_cast<std::size_t>(sum.size()));
    sum.mean(mean);
    return {mean.begin(), mean.end()};
  }

  // The same by the diagonal of the curvature alone.
  std::vector<double> diagonal_table() {
    std::vector<float> curvature(model_.parameters.size());
    for (std::size_t client = 0; client < weights_.size(); ++client) {
      const double share = static_cast<double>(weights_[client]) / static_cast<double>(samples_);
      const std::vector<float> own = estimate_curvature(
          clients_.executor(), {model_.parameters}, source_of(world_.partition.clients[client]),
          request_, {.seed = seed_, .client = static_cast<std::int64_t>(client), .round = 1});
      for (std::size_t i = 0; i < own.size(); ++i)
        curvature[i] += static_cast<float>(share * double{own[i]});
    }
    std::vector<double> out;
    for (const std::string& name : request_.parameters) {
      const ParameterSpec spec = spec_of(name);
      const std::vector<double> layer =
          sensitivity(spec, part_of<const float>(model_.parameters, spec),
                      part_of<const float>(curvature, spec), request_.candidates);
      out.insert(out.end(), layer.begin(), layer.end());
    }
    return out;
  }

  std::vector<float> compressed(const std::vector<std::size_t>& choice) const {
    std::vector<float> out = model_.parameters;
    for (std::size_t layer = 0; layer < choice.size(); ++layer) {
      const ParameterSpec spec = spec_of(request_.parameters[layer]);
      const auto weights = part_of<float>(out, spec);
      candidate_changes(spec, part_of<const float>(model_.parameters, spec),
                        {&request_.candidates[choice[layer]], 1},
                        [&](std::size_t, std::span<const float> changes) {
                          for (std::size_t i = 0; i < changes.size(); ++i) weights[i] += changes[i];
                        });
    }
    return out;
  }

  double loss(std::span<const float> parameters, std::span<const std::int64_t> samples) {
    const EvalSums sums = evaluate_share(clients_.executor(), {parameters}, *world_.dataset,
                                         world_.dataset->train, samples, {});
    if (sums.not_finite > 0)
      throw Error(text("bench sensitivity: the loss of ", sums.not_finite, " of ", sums.labels,
                       " labels is not finite"));
    return sums.loss();
  }

  double original_loss(std::span<const std::int64_t> samples) {
    return loss(model_.parameters, samples);
  }
  const Partition& partition() const { return world_.partition; }

 private:
  ParameterSpec spec_of(const std::string& name) const {
    const auto index = static_cast<std::size_t>(model_.graph.parameter_named(name));
    return with_block_axes(model_.graph, model_.graph.parameters()[index]);
  }

  template <typename Value, typename Values>
  static std::span<Value> part_of(Values& values, const ParameterSpec& spec) {
    return std::span<Value>(values).subspan(static_cast<std::size_t>(spec.offset),
                                            static_cast<std::size_t>(spec.size()));
  }

  SampleSource source_of(const ClientData& client) {
    const auto resolve = [&client](std::span<const std::int64_t> places) {
      std::vector<std::int64_t> out;
      for (const std::int64_t place : places)
        out.push_back(client.train[static_cast<std::size_t>(place)]);
      return out;
    };
    const Dataset& data = *world_.dataset;
    return {
        .size = std::ssize(client.train),
        .samples =
            [&data, resolve](std::span<const std::int64_t> places, std::span<float> out) {
              gather_samples(data, data.train, resolve(places), out);
            },
        .labels =
            [&data, resolve](std::span<const std::int64_t> places, std::span<std::int32_t> out) {
              gather_labels(data, data.train, resolve(places), out);
            }};
  }

  World world_;
  Checkpoint model_;
  std::uint64_t seed_;
  LocalClients clients_;
  std::vector<std::int64_t> weights_;
  std::vector<std::int64_t> class_totals_;
  std::int64_t samples_ = 0;
  SenseRequest request_;
};

// By one table.
struct Predicted {
  std::string name;
  std::vector<double> table;
  std::vector<double> losses = {};  // a choice

  void add(const SenseRequest& request, const std::vector<std::size_t>& choice) {
    double sum = 0.0;
    for (std::size_t layer = 0; layer < choice.size(); ++layer)
      sum += table[layer * request.candidates.size() + choice[layer]];
    losses.push_back(sum);
  }
};

void add_figures(BenchReport& report, const Predicted& predicted,
                 const std::vector<double>& measured) {
  const auto add = [&](const char* what, double value) {
    report.figures.push_back({predicted.name + what, "", {value, value, value}});
  };
  std::vector<LossJump> jumps;
  for (std::size_t i = 0; i < measured.size(); ++i)
    jumps.push_back({.predicted = predicted.losses[i], .measured = measured[i]});
  const LossFactor fitted = fit_loss_factor(jumps);
  add(".rank_correlation", rank_correlation(predicted.losses, measured));
  add(".factor", fitted.factor);
  add(".factor_spread", fitted.spread);
}

std::string closing_lines(const BenchReport& report) {
  std::string out;
  for (const BenchFigure& figure : report.figures)
    out += fmt::format("{:<26}  {:.3f}\n", figure.name, figure.spread.median);
  return out;
}

std::string candidate_text(const WeightCandidate& candidate) {
  if (candidate.block_density < 1.0)
    return fmt::format("b{:g}/{}", candidate.block_density, candidate.bits);
  return fmt::format("{:g}/{}", candidate.density, candidate.bits);
}

}  // namespace

BenchReport bench_sensitivity(ExperimentConfig config, std::optional<Checkpoint> model,
                              const SensitivityBenchSize& size) {
  AllocateConfig allocate = config.compress.allocate;
  allocate.class_balance = false;   // tables with and without are compared
  allocate.channel_shares.clear();  // what is measured has all of its channels
  config.compress = {};
  if (!model) model = trained(config);
  config.compress.allocate = allocate;
  const std::int64_t parameters = model->graph.parameter_count();
  Probe probe(make_world(config), std::move(*model), config);
  const SenseRequest& request = probe.request();
  const std::vector<std::int64_t> samples =
      drawn_samples(probe.partition(), size.samples, config.seed);
  std::vector<Predicted> predictions{{"predicted", probe.table()},
                                     {"diagonal", probe.diagonal_table()}};
  if (probe.has_classes()) predictions.push_back({"balanced", probe.table(true)});
  const double before = probe.original_loss(samples);
  std::vector<double> measured;
  std::vector<std::string> header{"density/bits of each layer"};
  for (const Predicted& one : predictions) header.push_back(one.name);
  header.emplace_back("measured");
  Table table(header, "l" + std::string(predictions.size() + 1, 'r'));
  for (std::int64_t draw = 0; draw < size.choices; ++draw) {
    const std::vector<std::size_t> choice = drawn_choice(request, draw, config.seed);
    for (Predicted& one : predictions) one.add(request, choice);
    measured.push_back(probe.loss(probe.compressed(choice), samples) - before);
    std::vector<std::string> cells;
    std::string layers;
    for (const std::size_t candidate : choice)
      layers += (layers.empty() ? "" : " ") + candidate_text(request.candidates[candidate]);
    cells.push_back(std::move(layers));
    for (const Predicted& one : predictions)
      cells.push_back(fmt::format("{:.4f}", one.losses.back()));
    cells.push_back(fmt::format("{:.4f}", measured.back()));
    table.add(std::move(cells));
  }
  BenchReport report;
  report.subject =
      text(parameters, " parameters, ", request.parameters.size(), " layers, ", size.choices,
           " random choices; loss on ", samples.size(),
           " of the clients' training samples, uncompressed ", fmt::format("{:.4f}", before));
  for (const Predicted& one : predictions) add_figures(report, one, measured);
  report.facts.set("loss", before);
  report.facts.set("choices", size.choices);
  report.facts.set("samples", std::ssize(samples));
  report.table = table.text() + '\n' + closing_lines(report);
  return report;
}

}  // namespace coppice
