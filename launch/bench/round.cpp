#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/bench/rounds.h"

namespace coppice {
namespace {

constexpr std::int64_t kWarmUpRounds = 1;
constexpr std::int64_t kMeasuredRounds = 7;

}  // namespace

BenchReport bench_round(ExperimentConfig config) {
  using Round = RoundWatcher::Round;
  const BenchFolder folder;
  const bool is_synthetic = config.data.name.empty();
  if (is_synthetic) {
    write_noise(folder.path(), {});
    config.data.name = "idx";
    config.data.root = folder.path().string();
  }
  config.train.rounds = kWarmUpRounds + kMeasuredRounds;
  config.compress = {};
  ExperimentConfig null_config = config;
  null_config.train.local_steps = 1;
  null_config.train.batch_size = 1;
  const RoundWatcher full = watch(config, folder.path() / "full", kWarmUpRounds);
  const RoundWatcher null_round = watch(null_config, folder.path() / "null", kWarmUpRounds);

  BenchReport report;
  report.subject =
      text(config.model.name.empty() ? "own network" : config.model.name, " on ",
           is_synthetic ? "6,400 synthetic images" : config.data.name, ", ",
           config.data.partition.clients, " clients, ", kMeasuredRounds,
           " rounds on one rank; a null round: every client takes one step on one sample");
  report.facts.set("rounds", kMeasuredRounds);
  report.facts.set("is_synthetic", is_synthetic);
  report.facts.set("steps_a_round", full.measured().front().steps);
  report.facts.set("samples_a_round", full.measured().front().samples);
  const auto per_second = [](std::int64_t amount, const Round& round) {
    return static_cast<double>(amount) / round.seconds;
  };
  report.figures = {
      {"steps", "steps/s",
       full.spread([&](const Round& round) { return per_second(round.steps, round); })},
      {"samples", "samples/s",
       full.spread([&](const Round& round) { return per_second(round.samples, round); })},
      {"round", "s", full.spread([](const Round& round) { return round.seconds; })},
      {"evaluation", "s", full.spread([](const Round& round) { return round.evaluate_seconds; })},
      {"null_round", "s", null_round.spread([](const Round& round) { return round.seconds; })}};
  return report;
}

}  // namespace coppice
