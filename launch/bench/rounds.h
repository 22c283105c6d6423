#pragma once
// What benches of whole rounds share: a folder that goes away, made-up images, and rounds that are
// watched while they run.

#include <cstdint>     // for int64_t
#include <filesystem>  // for path
#include <span>        // for span
#include <vector>      // for vector

#include "core/checkpoint.h"
#include "core/experiment.h"
#include "launch/bench/bench.h"
#include "launch/federation.h"

namespace coppice {

// A folder of its own below the system's for temporary files, removed at the end.
class BenchFolder {
 public:
  BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  ~BenchFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Writes grey images of noise and their labels, ten classes in turn, as data set "idx" reads them:
// what a round costs does not depend on what is in the pixels.
struct ImageCounts {
  std::uint32_t side = 28;  // pixels
  std::uint32_t train = 6400;
  std::uint32_t test = 500;
};
void write_noise(const std::filesystem::path& folder, const ImageCounts& counts);

// Seconds, steps and samples of each round.
class RoundWatcher final : public RunObserver {
 public:
  struct Round {
    double seconds = 0.0;  // from the plan to the new model
    double evaluate_seconds = 0.0;
    double whole_seconds = 0.0;  // since the round before: with evaluation and commit
    std::int64_t steps = 0;
    std::int64_t samples = 0;
  };

  // Rounds before the `warm_up`-th are not among measured().
  explicit RoundWatcher(std::size_t warm_up) : warm_up_(warm_up) {}

  void started(const Start& start) override;
  void noted(const std::string&) override {}
  void round_started(const ClientTask&, std::int64_t) override {}
  void round_finished(const RoundRecord& record, const Json& metrics,
                      std::int64_t rounds_left) override;

  std::span<const Round> measured() const { return std::span(rounds_).subspan(warm_up_); }
  // Of a value of every measured round.
  template <typename Value>
  Spread spread(Value&& value) const {
    std::vector<double> values;
    for (const Round& round : measured()) values.push_back(value(round));
    return spread_of(std::move(values));
  }

 private:
  std::int64_t steps_of(std::int64_t samples) const;

  std::size_t warm_up_;
  std::vector<std::int64_t> sizes_;
  TrainConfig train_;
  double last_ = 0.0;  // when the round before was finished, seconds of a steady clock
  std::vector<Round> rounds_;
};

// The network of `config` after its rounds, which are those of a run of its own.
Checkpoint trained(const ExperimentConfig& config);

// Runs `config` on one rank into `out`.
RoundWatcher watch(const ExperimentConfig& config, const std::filesystem::path& out,
                   std::size_t warm_up);

}  // namespace coppice
