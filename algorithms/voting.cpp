// From scores to ballots, from ballots to the units that stay.

#include <algorithm>  // for stable_sort, min, max, clamp
#include <cmath>      // for floor, pow
#include <map>        // for map
#include <numeric>    // for gcd, iota

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

// Channels of one unit of each group: how often a unit is found along the axis that names it least
// often. Gates and the pixels behind a flatten name it more often than it has channels.
std::vector<std::int64_t> channels_of_units(const Coupling& coupling) {
  std::vector<std::int64_t> channels(coupling.groups.size(), 0);
  for (const AxisUnits& axis : coupling.axes) {
    std::map<int, std::int64_t> named;
    for (const int unit : axis.units) ++named[unit];
    for (const auto& [unit, times] : named) {
      std::int64_t& least = channels[static_cast<std::size_t>(
          coupling.group_of_unit[static_cast<std::size_t>(unit)])];
      if (least == 0 || times < least) least = times;
    }
  }
  return channels;
}

// The units that each group keeps or loses at a time, so that its width is a multiple.
std::vector<std::int64_t> unit_steps(const Coupling& coupling, std::int64_t multiple) {
  std::vector<std::int64_t> steps = channels_of_units(coupling);
  for (std::int64_t& step : steps) step = multiple / std::gcd(multiple, step);
  return steps;
}

std::vector<std::int64_t> counts_at(const Coupling& coupling, std::span<const double> shares,
                                    std::span<const std::int64_t> steps, double strength) {
  std::vector<std::int64_t> counts = all_units(coupling);
  for (std::size_t g = 0; g < counts.size(); ++g) {
    const double fraction = std::max(0.0, 1.0 - strength * shares[g]);
    const double kept = std::floor(fraction * static_cast<double>(counts[g]) + 1e-9);
    const std::int64_t least = std::max<std::int64_t>(1, static_cast<std::int64_t>(kept));
    counts[g] = std::min(counts[g], (least + steps[g] - 1) / steps[g] * steps[g]);
  }
  return counts;
}

// Rounding leaves room: units go back a step at a time, to the group that lost the largest fraction
// of its units among those where one more step fits, until none does.
void give_back(const Graph& graph, const Coupling& coupling, std::int64_t max_parameters,
               std::span<const std::int64_t> steps, std::vector<std::int64_t>& counts) {
  const std::vector<std::int64_t> all = all_units(coupling);
  std::vector<std::size_t> open(counts.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  while (!open.empty()) {
    const auto most = std::min_element(open.begin(), open.end(), [&](std::size_t a, std::size_t b) {
      return counts[a] * all[b] < counts[b] * all[a];
    });
    const std::int64_t before = counts[*most];
    counts[*most] = std::min(all[*most], before + steps[*most]);
    if (before == all[*most] || parameters_with(graph, coupling, counts) > max_parameters) {
      counts[*most] = before;
      open.erase(most);
    }
  }
}

}  // namespace

std::vector<std::int64_t> keep_counts(const Graph& graph, const Coupling& coupling,
                                      std::int64_t max_parameters, std::int64_t multiple) {
  if (multiple < 1)
    throw ConfigError(text("widths: expected a multiple of 1 or more, got ", multiple));
  if (graph.parameter_count() <= max_parameters) return all_units(coupling);
  const std::vector<double> shares = held_shares(graph, coupling);
  const std::vector<std::int64_t> steps = unit_steps(coupling, multiple);
  double strongest = 1.0;  // leaves one unit in every group that holds anything
  for (const double share : shares) {
    if (share > 0.0) strongest = std::max(strongest, 1.0 / share);
  }
  double low = 0.0;
  double high = strongest;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2.0;
    const auto counts = counts_at(coupling, shares, steps, middle);
    (parameters_with(graph, coupling, counts) <= max_parameters ? high : low) = middle;
  }
  std::vector<std::int64_t> counts = counts_at(coupling, shares, steps, high);
  give_back(graph, coupling, max_parameters, steps, counts);
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
