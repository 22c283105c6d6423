#include "launch/assignment.h"

#include <algorithm>   // for clamp, max_element, stable_sort
#include <functional>  // for greater

namespace coppice {
namespace {

constexpr double kMostChange = 4.0;  // of a node's speed that one round can show
constexpr double kMemory = 0.5;      // how much of a speed is kept from round to round

}  // namespace

Placement::Placement(std::vector<double> samples, std::vector<int> node_of_rank)
    : samples_(std::move(samples)),
      node_of_rank_(std::move(node_of_rank)),
      work_(samples_.size()),
      seconds_(samples_.size()),
      speeds_(static_cast<std::size_t>(*std::ranges::max_element(node_of_rank_) + 1)) {
  for (const int node : node_of_rank_) speeds_[static_cast<std::size_t>(node)] += 1.0;
}

double Placement::work_of(std::int64_t client) const {
  const auto at = static_cast<std::size_t>(client);
  if (work_[at] > 0.0) return work_[at];
  return known_samples_ > 0.0 ? samples_[at] * known_work_ / known_samples_ : samples_[at];
}

std::vector<std::vector<std::int64_t>> Placement::place(std::span<const std::int64_t> cohort) {
  struct Job {
    std::int64_t client;
    double work;
  };
  std::vector<Job> jobs;
  jobs.reserve(cohort.size());
  for (const std::int64_t client : cohort) jobs.push_back({client, work_of(client)});
  std::ranges::stable_sort(jobs, std::greater<>(), &Job::work);
  placed_.assign(speeds_.size(), {});
  std::vector<double> load(speeds_.size());
  for (const Job& job : jobs) {
    std::size_t best = 0;
    for (std::size_t node = 1; node < load.size(); ++node) {
      if ((load[node] + job.work) / speeds_[node] < (load[best] + job.work) / speeds_[best])
        best = node;
    }
    placed_[best].push_back(job.client);
    load[best] += job.work;
  }
  return placed_;
}

void Placement::learn(std::span<const ClientRow> rows, std::span<const double> busy) {
  for (const auto& clients : placed_) {
    for (const std::int64_t client : clients) seconds_[static_cast<std::size_t>(client)] = 0.0;
  }
  for (const ClientRow& row : rows) seconds_[static_cast<std::size_t>(row.client)] = row.seconds;
  const auto seconds_of = [this](std::int64_t client) {
    return seconds_[static_cast<std::size_t>(client)];
  };
  // By node: for how long its ranks were at work in all, and in training.
  std::vector<double> at_work(speeds_.size());
  std::vector<double> training(speeds_.size());
  std::vector<double> ranks(speeds_.size());
  for (std::size_t rank = 0; rank < busy.size(); ++rank) {
    const auto node = static_cast<std::size_t>(node_of_rank_[rank]);
    at_work[node] += busy[rank];
    ranks[node] += 1.0;
  }
  std::vector<double> shown(speeds_.size());  // speeds up to a common factor, 0: nothing to see
  double speed_sum = 0.0;
  double shown_sum = 0.0;
  for (std::size_t node = 0; node < speeds_.size(); ++node) {
    double work = 0.0;
    for (const std::int64_t client : placed_[node]) {
      work += work_of(client);
      training[node] += seconds_of(client);
    }
    if (!(work > 0.0 && training[node] > 0.0 && at_work[node] > 0.0)) continue;
    shown[node] = ranks[node] * work / at_work[node];
    speed_sum += speeds_[node];
    shown_sum += shown[node];
  }
  for (std::size_t node = 0; node < speeds_.size(); ++node) {
    if (shown[node] == 0.0) continue;
    const double speed = std::clamp(shown[node] * speed_sum / shown_sum,
                                    speeds_[node] / kMostChange, speeds_[node] * kMostChange);
    speeds_[node] = kMemory * speeds_[node] + (1.0 - kMemory) * speed;
    const double work_a_second = at_work[node] / training[node] * speed / ranks[node];
    for (const std::int64_t client : placed_[node]) {
      const double seconds = seconds_of(client);
      if (seconds > 0.0) set_work(client, seconds * work_a_second);
    }
  }
}

void Placement::set_work(std::int64_t client, double work) {
  const auto at = static_cast<std::size_t>(client);
  known_samples_ += work_[at] > 0.0 ? 0.0 : samples_[at];
  known_work_ += work - work_[at];
  work_[at] = work;
}

}  // namespace coppice
