#include <fmt/core.h>

#include <algorithm>  // for clamp, min
#include <chrono>     // for steady_clock
#include <cmath>      // for ldexp

#include "client/update_adder.h"
#include "comm/codec.h"
#include "comm/communicator.h"
#include "core/random.h"
#include "core/text.h"
#include "kernels/ceilings.h"
#include "launch/bench/bench.h"
#include "launch/machine.h"
#include "launch/ranks.h"
#include "launch/tables.h"

namespace coppice {
namespace {

constexpr int kRuns = 7;
// Updates that lie in memory; a larger cohort meets them again. Far more than the caches hold, or
// all there are.
constexpr std::int64_t kResidentBytes = std::int64_t{480} << 20;

struct Case {
  std::string codec;
  std::int64_t parameters;
  std::int64_t clients;
  int ranks;
};

std::vector<Case> cases(const AggregateBenchSize& size, int ranks) {
  std::vector<Case> all;
  for (std::int64_t parameters = size.least_parameters; parameters <= size.most_parameters;
       parameters *= 10) {
    for (const std::int64_t clients : {2, 10, 100})
      all.push_back({"dense", parameters, clients, ranks});
    for (const CodecInfo& info : known_codecs()) {
      const std::string name(info.name);
      if (name != "dense") all.push_back({name, parameters, 10, ranks});
    }
  }
  return all;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What one rank holds: the global model and local ones a hundredth away from it.
class Models {
 public:
  Models(std::int64_t parameters, std::int64_t clients, std::uint64_t seed)
      : global_(static_cast<std::size_t>(parameters)) {
    RandomStream random({.seed = seed, .purpose = Purpose::kGenerated});
    std::vector<std::uint32_t> words(global_.size());
    random.fill(words);
    for (std::size_t i = 0; i < words.size(); ++i)
      global_[i] = static_cast<float>(std::ldexp(static_cast<double>(words[i]), -34));
    const std::int64_t bytes = parameters * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t held = std::clamp<std::int64_t>(kResidentBytes / bytes, 1, clients);
    for (std::int64_t k = 0; k < held; ++k) {
      random.fill(words);
      std::vector<float>& local = locals_.emplace_back(global_);
      for (std::size_t i = 0; i < words.size(); ++i)
        local[i] += static_cast<float>(std::ldexp(static_cast<double>(words[i]), -39) - 0x1p-8);
    }
  }

  std::span<const float> global() const { return global_; }
  std::span<const float> local(std::int64_t client) const {
    return locals_[static_cast<std::size_t>(client) % locals_.size()];
  }

 private:
  std::vector<float> global_;
  std::vector<std::vector<float>> locals_;
};

ClientTask task_of(const Case& one) {
  ClientTask task;
  task.max_weight = one.clients;
  task.update_grid = grid_for(6, task.max_weight);
  task.codec = one.codec;
  return task;
}

// One rank's part of the cohort, as many at once as in a run.
void add_all(const ClientTask& task, const Models& models, std::int64_t clients, ExactSum& sum) {
  UpdateAdder adder(task, 1);
  const std::int64_t at_once = UpdateAdder::clients_at_once(sum.size());
  std::vector<TrainedClient> trained;
  for (std::int64_t first = 0; first < clients; first += at_once) {
    trained.clear();
    for (std::int64_t client = first; client < std::min(first + at_once, clients); ++client)
      trained.push_back({{.client = client, .weight = 1}, models.local(client)});
    adder.add(trained, models.global(), sum);
  }
}

// The same updates, only read: what memory allows.
void read_all(const Models& models, std::int64_t clients) {
  volatile std::uint64_t sink = 0;
  for (std::int64_t client = 0; client < clients; ++client) {
    const std::span<const float> local = models.local(client);
    sink = sink + kernels::sum_words(local.data(), std::ssize(local));
  }
}

struct Measured {
  Spread rate;   // GB/s of updates, all ranks together
  Spread share;  // of what reading them gives, pair by pair
};

// Reading and adding in turn; ranks start together and the last one counts. The sum over ranks is
// part of adding.
Measured measure(const Case& one) {
  std::vector<double> rates;
  std::vector<double> shares;
  const double gigabytes = static_cast<double>(one.parameters * one.clients) * sizeof(float) * 1e-9;
  with_ranks(one.ranks, {}, [&](Communicator& communicator) {
    const std::int64_t rank = communicator.rank();
    const std::int64_t mine = (one.clients + one.ranks - 1 - rank) / one.ranks;
    const Models models(one.parameters, mine, static_cast<std::uint64_t>(rank + 1));
    const ClientTask task = task_of(one);
    const auto timed = [&](const auto& work) {
      communicator.barrier();
      const double begin = seconds();
      work();
      communicator.barrier();
      return seconds() - begin;
    };
    for (int run = 0; run <= kRuns; ++run) {
      ExactSum sum(one.parameters, task.update_grid, task.max_weight);
      const double read = timed([&] { read_all(models, mine); });
      const double added = timed([&] {
        add_all(task, models, mine, sum);
        communicator.reduce_sum(sum.exchanged(), 0);
      });
      if (run == 0 || rank != 0) continue;  // the first warms up
      rates.push_back(gigabytes / added);
      shares.push_back(read / added);
    }
    return 0;
  });
  return {spread_of(std::move(rates)), spread_of(std::move(shares))};
}

}  // namespace

BenchReport bench_aggregate(const AggregateBenchSize& size) {
  BenchReport report;
  report.subject = text(
      "local models in memory to the sum of their updates: difference to the global model, norm, "
      "encoded and decoded, exact sum, sum over ranks (threads); share: of the rate at which the "
      "same ranks only read them, pair by pair; medians of ",
      kRuns);
  report.facts.set("runs", kRuns);
  report.facts.set("resident_bytes", kResidentBytes);
  std::vector<int> rank_counts{1};
  if (this_machine().cores >= 2 && size.most_ranks >= 2) rank_counts.push_back(2);
  Table table({"codec", "parameters", "clients", "ranks", "GB/s", "min", "max", "share of reading"},
              "lrrrrrrr");
  for (const int ranks : rank_counts) {
    for (const Case& one : cases(size, ranks)) {
      const Measured measured = measure(one);
      const std::string name = text(one.codec, '.', one.parameters, '.', one.clients, '.', ranks);
      report.figures.push_back({name, "GB/s", measured.rate});
      report.figures.push_back({name + ".share", "", measured.share});
      table.add({one.codec, with_commas(one.parameters), std::to_string(one.clients),
                 std::to_string(ranks), fmt::format("{:.2f}", measured.rate.median),
                 fmt::format("{:.2f}", measured.rate.min), fmt::format("{:.2f}", measured.rate.max),
                 fmt::format("{:.0f}%", 100.0 * measured.share.median)});
    }
  }
  report.table = table.text();
  return report;
}

}  // namespace coppice
