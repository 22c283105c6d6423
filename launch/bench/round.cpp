#include <unistd.h>  // for mkdtemp

#include <algorithm>   // for max
#include <cerrno>      // for errno
#include <filesystem>  // for temp_directory_path
#include <functional>  // for function

#include "coordinator/durable_file.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/federation.h"
#include "launch/ranks.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

constexpr std::int64_t kWarmUpRounds = 1;
constexpr std::int64_t kMeasuredRounds = 7;

// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "coppice_bench_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Error(text(pattern, ": ", system_reason(errno)));
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const Path& path() const { return path_; }

 private:
  Path path_;
};

// An IDX file of unsigned bytes: data/idx.h.
void write_idx(const Path& path, const std::vector<std::uint32_t>& shape,
               const std::function<std::uint8_t()>& next) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  std::size_t count = 1;
  for (const std::uint32_t axis : shape) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes += static_cast<char>((axis >> shift) & 0xFFU);
    count *= axis;
  }
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(next());
  write_file_atomically(path, bytes);
}

// Noise in the shape of Fashion-MNIST: what a step costs does not depend on what is in the pixels.
void write_synthetic(const Path& folder) {
  RandomStream random({.seed = 1, .purpose = Purpose::kGenerated});
  std::uint8_t label = 0;
  const auto pixel = [&] { return static_cast<std::uint8_t>(random.next_below(256)); };
  const auto digit = [&] { return label = static_cast<std::uint8_t>((label + 1) % 10); };
  write_idx(folder / "train-images-idx3-ubyte", {6400, 28, 28}, pixel);
  write_idx(folder / "train-labels-idx1-ubyte", {6400}, digit);
  write_idx(folder / "t10k-images-idx3-ubyte", {500, 28, 28}, pixel);
  write_idx(folder / "t10k-labels-idx1-ubyte", {500}, digit);
}

// Seconds, steps and samples of each round.
class RoundWatcher final : public RunObserver {
 public:
  struct Round {
    double seconds = 0.0;
    double evaluate_seconds = 0.0;
    std::int64_t steps = 0;
    std::int64_t samples = 0;
  };

  void started(const World& world, const ExperimentConfig& config, int, std::int64_t) override {
    sizes_ = world.client_weights();
    train_ = config.train;
  }
  void noted(const std::string&) override {}
  void round_started(const ClientTask&, std::int64_t) override {}
  void round_finished(const RoundRecord& record, const Json& metrics, std::int64_t) override {
    Round round{.seconds = metrics.at("seconds").as_number(),
                .evaluate_seconds = metrics.at("eval_seconds").as_number(),
                .steps = 0,
                .samples = metrics.at("samples").as_integer()};
    for (const ClientRow& row : record.rows)
      round.steps += steps_of(sizes_[static_cast<std::size_t>(row.client)]);
    rounds_.push_back(round);
  }

  std::span<const Round> measured() const { return std::span(rounds_).subspan(kWarmUpRounds); }

 private:
  std::int64_t steps_of(std::int64_t samples) const {
    if (train_.local_steps > 0) return train_.local_steps;
    return train_.local_epochs * ((samples + train_.batch_size - 1) / train_.batch_size);
  }

  std::vector<std::int64_t> sizes_;
  TrainConfig train_;
  std::vector<Round> rounds_;
};

RoundWatcher watch(const ExperimentConfig& config, const Path& out) {
  RoundWatcher watcher;
  with_ranks(1, {}, [&](Communicator& communicator) {
    return run_federation(communicator, config, {.out = out, .is_resumed = false}, &watcher)
        .exit_code;
  });
  return watcher;
}

template <typename Value>
Spread spread_over(const RoundWatcher& watcher, Value&& value) {
  std::vector<double> values;
  for (const RoundWatcher::Round& round : watcher.measured()) values.push_back(value(round));
  return spread_of(std::move(values));
}

}  // namespace

BenchReport bench_round(ExperimentConfig config) {
  using Round = RoundWatcher::Round;
  const TemporaryFolder folder;
  const bool is_synthetic = config.data.name.empty();
  if (is_synthetic) {
    write_synthetic(folder.path());
    config.data.name = "idx";
    config.data.root = folder.path().string();
  }
  config.train.rounds = kWarmUpRounds + kMeasuredRounds;
  config.compress = {};
  ExperimentConfig null_config = config;
  null_config.train.local_steps = 1;
  null_config.train.batch_size = 1;
  const RoundWatcher full = watch(config, folder.path() / "full");
  const RoundWatcher null_round = watch(null_config, folder.path() / "null");

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
       spread_over(full, [&](const Round& round) { return per_second(round.steps, round); })},
      {"samples", "samples/s",
       spread_over(full, [&](const Round& round) { return per_second(round.samples, round); })},
      {"round", "s", spread_over(full, [](const Round& round) { return round.seconds; })},
      {"evaluation", "s",
       spread_over(full, [](const Round& round) { return round.evaluate_seconds; })},
      {"null_round", "s",
       spread_over(null_round, [](const Round& round) { return round.seconds; })}};
  return report;
}

}  // namespace coppice
