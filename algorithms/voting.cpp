// From scores to ballots, from ballots to the units that stay.

#include <algorithm>  // for stable_sort, min, max, clamp
#include <cmath>      // for floor, pow
#include <numeric>    // for iota

#include "algorithms/pruner.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void check_sizes(const Coupling& coupling, std::size_t units,
                 std::span<const std::int64_t> counts) {
  if (static_cast<int>(units) != coupling.unit_count || counts.size() != coupling.groups.size()) {
    throw ConfigError(text("ballot: expected ", coupling.unit_count, " units in ",
                           coupling.groups.size(), " groups, got ", units, " and ", counts.size()));
  }
}

// Marks the first counts[g] units of each group under `is_better`.
template <typename Value, typename IsBetter>
std::vector<Value> keep_best(const Coupling& coupling, std::span<const std::int64_t> counts,
                             IsBetter&& is_better) {
  std::vector<Value> keep(static_cast<std::size_t>(coupling.unit_count));
  for (std::size_t g = 0; g < coupling.groups.size(); ++g) {
    std::vector<int> units = coupling.groups[g].units;
    std::stable_sort(units.begin(), units.end(), is_better);
    const auto count =
        std::clamp<std::int64_t>(counts[g], 0, static_cast<std::int64_t>(units.size()));
    for (std::int64_t i = 0; i < count; ++i)
      keep[static_cast<std::size_t>(units[static_cast<std::size_t>(i)])] = Value{1};
  }
  return keep;
}

std::vector<std::int64_t> all_units(const Coupling& coupling) {
  std::vector<std::int64_t> counts;
  for (const CouplingGroup& group : coupling.groups) {
    counts.push_back(static_cast<std::int64_t>(group.units.size()));
  }
  return counts;
}

std::int64_t parameters_with(const Graph& graph, const Coupling& coupling,
                             std::span<const std::int64_t> counts) {
  const auto lower = [](int a, int b) { return a < b; };
  return kept_parameters(graph, coupling, keep_best<std::uint8_t>(coupling, counts, lower));
}

// What each prunable group holds: the parameters that go when all of its units but one do, over
// those of the group where that is most. 0 for the others.
std::vector<double> held_shares(const Graph& graph, const Coupling& coupling) {
  std::vector<double> shares;
  const std::vector<std::int64_t> all = all_units(coupling);
  for (std::size_t g = 0; g < coupling.groups.size(); ++g) {
    std::vector<std::int64_t> counts = all;
    if (coupling.groups[g].is_prunable) counts[g] = 1;
    const std::int64_t gone = graph.parameter_count() - parameters_with(graph, coupling, counts);
    shares.push_back(static_cast<double>(gone));
  }
  const double most = *std::max_element(shares.begin(), shares.end());
  for (double& share : shares) share = most > 0.0 ? share / most : 0.0;
  return shares;
}

std::vector<std::int64_t> counts_at(const Coupling& coupling, std::span<const double> shares,
                                    double strength) {
  std::vector<std::int64_t> counts = all_units(coupling);
  for (std::size_t g = 0; g < counts.size(); ++g) {
    const double fraction = std::max(0.0, 1.0 - strength * shares[g]);
    const double kept = std::floor(fraction * static_cast<double>(counts[g]) + 1e-9);
    counts[g] = std::max<std::int64_t>(1, static_cast<std::int64_t>(kept));
  }
  return counts;
}

// Rounding down leaves room: units go back one by one, to the group that lost the largest fraction
// of its units among those where one more fits, until none does.
void give_back(const Graph& graph, const Coupling& coupling, std::int64_t max_parameters,
               std::vector<std::int64_t>& counts) {
  const std::vector<std::int64_t> all = all_units(coupling);
  std::vector<std::size_t> open(counts.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  while (!open.empty()) {
    const auto most = std::min_element(open.begin(), open.end(), [&](std::size_t a, std::size_t b) {
      return counts[a] * all[b] < counts[b] * all[a];
    });
    ++counts[*most];
    if (counts[*most] > all[*most] || parameters_with(graph, coupling, counts) > max_parameters) {
      --counts[*most];
      open.erase(most);
    }
  }
}

}  // namespace

std::vector<std::int64_t> keep_counts(const Graph& graph, const Coupling& coupling,
                                      std::int64_t max_parameters) {
  if (graph.parameter_count() <= max_parameters) return all_units(coupling);
  const std::vector<double> shares = held_shares(graph, coupling);
  double strongest = 1.0;  // leaves one unit in every group that holds anything
  for (const double share : shares) {
    if (share > 0.0) strongest = std::max(strongest, 1.0 / share);
  }
  double low = 0.0;
  double high = strongest;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2.0;
    const auto counts = counts_at(coupling, shares, middle);
    (parameters_with(graph, coupling, counts) <= max_parameters ? high : low) = middle;
  }
  std::vector<std::int64_t> counts = counts_at(coupling, shares, high);
  give_back(graph, coupling, max_parameters, counts);
  return counts;
}

std::vector<float> make_ballot(const Coupling& coupling, std::span<const double> scores,
                               std::span<const std::int64_t> keep_counts) {
  check_sizes(coupling, scores.size(), keep_counts);
  return keep_best<float>(coupling, keep_counts, [&](int a, int b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
}

std::vector<std::uint8_t> count_votes(const Coupling& coupling, std::span<const std::int64_t> votes,
                                      std::span<const double> global_scores,
                                      std::span<const std::int64_t> keep_counts) {
  check_sizes(coupling, votes.size(), keep_counts);
  check_sizes(coupling, global_scores.size(), keep_counts);
  return keep_best<std::uint8_t>(coupling, keep_counts, [&](int a, int b) {
    const auto left = static_cast<std::size_t>(a);
    const auto right = static_cast<std::size_t>(b);
    return votes[left] != votes[right] ? votes[left] > votes[right]
                                       : global_scores[left] > global_scores[right];
  });
}

double cubic_keep_fraction(double target, std::int64_t done, std::int64_t steps) {
  const double left = 1.0 - static_cast<double>(std::min(done, steps)) / static_cast<double>(steps);
  return target + (1.0 - target) * std::pow(left, 3.0);
}

}  // namespace coppice
