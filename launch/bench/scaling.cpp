#include <fmt/core.h>

#include <algorithm>  // for min
#include <fstream>    // for ifstream

#include "coordinator/durable_file.h"
#include "core/error.h"
#include "core/text.h"
#include "data/child_output.h"
#include "launch/bench/bench.h"
#include "launch/bench/rounds.h"
#include "launch/machine.h"
#include "launch/tables.h"

namespace coppice {
namespace {

constexpr std::int64_t kMeasuredRounds = 12;
constexpr std::size_t kWarmUpRounds = 2;
constexpr std::size_t kOutputBytes = std::size_t{1} << 24U;
constexpr std::uint32_t kSamples = 20'000;
constexpr std::int64_t kPopulation = 10'000;

// A network with a hidden layer, 14,410 parameters: enough that training is most of the round.
std::string config_text(const std::filesystem::path& data) {
  return text(
      "name: bench-scaling\n"
      "model: {layers: [{op: flatten}, {op: linear, out: 128}, {op: relu}, {op: linear, out: "
      "10}]}\n"
      "data: {name: idx, root: ",
      data.string(), ", partition: {scheme: iid, clients: ", kPopulation,
      "}, validation_fraction: 0}\n"
      "train: {local_epochs: 1, batch_size: 2, optimizer: {name: sgd, lr: 0.01}}\n");
}

struct Measured {
  Spread seconds;            // of a round
  double utilisation = 0.0;  // of the rank that was busy least, median over rounds
  std::int64_t peak_rss_bytes = 0;
};

// The rounds of a run folder after those that warm up.
Measured read_run(const std::filesystem::path& folder) {
  std::vector<double> seconds;
  std::vector<double> least;
  std::ifstream lines(folder / "metrics.jsonl");
  std::string line;
  for (std::size_t i = 0; std::getline(lines, line); ++i) {
    if (i < kWarmUpRounds) continue;
    const Json round = Json::parse(line, "metrics.jsonl");
    seconds.push_back(round.at("seconds").as_number());
    double lowest = 1.0;
    for (const Json& share : round.at("utilisation").as_array())
      lowest = std::min(lowest, share.as_number());
    least.push_back(lowest);
  }
  if (seconds.empty()) throw Error(text("bench scaling: no rounds in '", folder.string(), "'"));
  return {.seconds = spread_of(std::move(seconds)),
          .utilisation = spread_of(std::move(least)).median,
          .peak_rss_bytes = 0};
}

// A run in processes of its own, so that the memory is this run's alone.
Measured run_apart(const std::filesystem::path& config, std::int64_t clients, int ranks) {
  const std::filesystem::path out =
      config.parent_path() / text("clients-", clients, "-ranks-", ranks);
  std::vector<std::string> command;
  if (ranks > 1) {
    command = {"env",
               "OMPI_ALLOW_RUN_AS_ROOT=1",
               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
               "mpirun",
               "--oversubscribe",
               "--bind-to",
               "none",
               "-np",
               std::to_string(ranks)};
  }
  const std::int64_t rounds = kMeasuredRounds + static_cast<std::int64_t>(kWarmUpRounds);
  const std::vector<std::string> run{program_folder() + "/coppice",
                                     "run",
                                     config.string(),
                                     text("train.clients_per_round=", clients),
                                     text("train.rounds=", rounds),
                                     text("eval.every=", rounds),
                                     "--out",
                                     out.string(),
                                     "--json"};
  command.insert(command.end(), run.begin(), run.end());
  const std::string printed = child_output(command, kOutputBytes);
  const std::size_t end = printed.find_last_not_of('\n');
  const std::size_t before = printed.rfind('\n', end);
  const Json summary = Json::parse(printed.substr(before + 1, end - before), "summary of the run");
  Measured measured = read_run(out);
  measured.peak_rss_bytes = summary.at("peak_rss_bytes").as_integer();
  return measured;
}

}  // namespace

BenchReport bench_scaling(const ScalingBenchSize& size) {
  const BenchFolder folder;
  write_noise(folder.path(), {.side = 10, .train = kSamples, .test = 100});
  const std::filesystem::path config = folder.path() / "scaling.yaml";
  write_file_atomically(config, config_text(folder.path()));
  BenchReport report;
  report.subject = text(
      "rounds of a network of 14,410 parameters, two samples a client, each run in processes of "
      "its own; memory: the coordinating rank's peak; busy: the least busy rank's share of a "
      "round");
  report.facts.set("rounds", kMeasuredRounds);
  Table table({"clients", "ranks", "ms a round", "min", "max", "us a client", "busy", "RSS, MB"},
              "rrrrrrrr");
  std::vector<int> rank_counts{1};
  if (!find_on_path("mpirun").empty()) {
    const auto most = std::min<std::int64_t>(size.most_ranks, this_machine().cores);
    for (int ranks = 2; ranks <= most; ranks *= 2) rank_counts.push_back(ranks);
  }
  for (const int ranks : rank_counts) {
    for (std::int64_t clients = 10; clients <= std::min(size.most_clients, kPopulation);
         clients *= 10) {
      const Measured measured = run_apart(config, clients, ranks);
      const Spread ms{.median = measured.seconds.median * 1e3,
                      .min = measured.seconds.min * 1e3,
                      .max = measured.seconds.max * 1e3};
      const double megabytes = static_cast<double>(measured.peak_rss_bytes) * 1e-6;
      const std::string name = text("clients_", clients, ".ranks_", ranks);
      report.figures.push_back({name, "ms", ms});
      report.figures.push_back(
          {name + ".busy", "", {measured.utilisation, measured.utilisation, measured.utilisation}});
      report.figures.push_back({name + ".rss", "MB", {megabytes, megabytes, megabytes}});
      table.add({with_commas(clients), std::to_string(ranks), fmt::format("{:.3f}", ms.median),
                 fmt::format("{:.3f}", ms.min), fmt::format("{:.3f}", ms.max),
                 fmt::format("{:.2f}", ms.median * 1e3 / static_cast<double>(clients)),
                 fmt::format("{:.0f}%", 100.0 * measured.utilisation),
                 fmt::format("{:.1f}", megabytes)});
    }
  }
  report.table = table.text();
  return report;
}

}  // namespace coppice
