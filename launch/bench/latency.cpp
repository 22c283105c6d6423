#include <fmt/core.h>

#include "core/config/config.h"
#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/bench/rounds.h"
#include "launch/tables.h"

namespace coppice {
namespace {

// Ten by ten pixels and ten classes: 1,010 parameters.
constexpr std::string_view kNullConfig = R"(name: bench-latency
model: {layers: [{op: flatten}, {op: linear, out: 10}]}
data: {name: idx, partition: {scheme: iid}, validation_fraction: 0}
train: {local_steps: 1, batch_size: 1, optimizer: {name: sgd, lr: 0.01}}
)";
constexpr std::size_t kWarmUpRounds = 3;
constexpr std::int64_t kPopulation = 10'000;
constexpr std::int64_t kSamplesAClient = 2;

struct Cohort {
  std::int64_t clients;
  std::int64_t rounds;
};

ExperimentConfig null_rounds(const Cohort& cohort, const std::filesystem::path& data) {
  ExperimentConfig config = parse_config(kNullConfig, "the bench's own config");
  config.data.root = data.string();
  config.data.partition.clients = kPopulation;
  config.train.clients_per_round = cohort.clients;
  config.train.rounds = cohort.rounds + static_cast<std::int64_t>(kWarmUpRounds);
  config.eval.every = config.train.rounds;
  return config;
}

}  // namespace

BenchReport bench_latency() {
  using Round = RoundWatcher::Round;
  const BenchFolder folder;
  write_noise(folder.path(), {.side = 10,
                              .train = static_cast<std::uint32_t>(kSamplesAClient * kPopulation),
                              .test = 100});
  BenchReport report;
  report.subject = text(
      "null rounds on one rank: every client takes one step on one sample with a linear model of "
      "1,010 parameters; a round is from its plan to the new model, a committed one also writes "
      "checkpoint, journal and metrics");
  report.facts.set("parameters", std::int64_t{1010});
  Table table({"clients", "rounds", "ms a round", "min", "max", "us a client", "committed, ms"},
              "rrrrrrr");
  for (const Cohort& cohort :
       {Cohort{1, 60}, Cohort{10, 60}, Cohort{100, 60}, Cohort{1000, 30}, Cohort{10'000, 12}}) {
    const RoundWatcher watcher =
        watch(null_rounds(cohort, folder.path()), folder.path() / std::to_string(cohort.clients),
              kWarmUpRounds);
    const Spread ms = watcher.spread([](const Round& round) { return round.seconds * 1e3; });
    const Spread committed = watcher.spread(
        [](const Round& round) { return (round.whole_seconds - round.evaluate_seconds) * 1e3; });
    const std::string name = text("clients_", cohort.clients);
    report.figures.push_back({name, "ms", ms});
    report.figures.push_back({name + ".committed", "ms", committed});
    table.add({with_commas(cohort.clients), std::to_string(cohort.rounds),
               fmt::format("{:.3f}", ms.median), fmt::format("{:.3f}", ms.min),
               fmt::format("{:.3f}", ms.max),
               fmt::format("{:.2f}", 1e3 * ms.median / static_cast<double>(cohort.clients)),
               fmt::format("{:.3f}", committed.median)});
  }
  report.table = table.text();
  return report;
}

}  // namespace coppice
