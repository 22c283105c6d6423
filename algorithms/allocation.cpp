#include "algorithms/allocation.h"

#include <algorithm>    // for sort, any_of, clamp, max, min, unique
#include <array>        // for array
#include <cmath>        // for isfinite
#include <limits>       // for numeric_limits
#include <numeric>      // for iota
#include <string_view>  // for string_view
#include <tuple>        // for tuple

#include "algorithms/knapsack/dual.h"
#include "algorithms/knapsack/front.h"
#include "algorithms/knapsack/problem.h"
#include "algorithms/knapsack/search.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

using knapsack::Choice;
using knapsack::Costs;
using knapsack::Option;
using knapsack::Problem;
using knapsack::Totals;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 53;  // exact in a double
constexpr std::size_t kStarts = 3;                          // choices that are followed up
constexpr std::int64_t kShortFront = 256;                   // milliseconds
constexpr std::int64_t kMostStates = 1 << 13;               // a second at worst

void check_number(double value, std::string_view what, std::size_t layer, std::size_t candidate) {
  if (std::isfinite(value) && value >= 0.0) return;
  throw ConfigError(text("allocation: layer ", layer, ", candidate ", candidate, ": expected ",
                         what, " that is finite and not negative, got ", value));
}

void check(std::span<const LayerCandidates> layers) {
  std::int64_t most_bytes = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    if (layers[l].empty())
      throw ConfigError(text("allocation: layer ", l, ": expected a candidate, got none"));
    std::int64_t largest = 0;
    for (std::size_t c = 0; c < layers[l].size(); ++c) {
      const Candidate& candidate = layers[l][c];
      check_number(candidate.loss, "a loss", l, c);
      check_number(candidate.microseconds, "a time", l, c);
      if (candidate.bytes < 0 || candidate.bytes > kMostBytes) {
        throw ConfigError(text("allocation: layer ", l, ", candidate ", c,
                               ": expected 0 to 2^53 bytes, got ", candidate.bytes));
      }
      largest = std::max(largest, candidate.bytes);
    }
    most_bytes += largest;
    if (most_bytes > kMostBytes)
      throw ConfigError(text("allocation: layers up to ", l, " can take more than 2^53 bytes"));
  }
}

void check(const Budget& budget) {
  if (budget.bytes && *budget.bytes < 0)
    throw ConfigError(
        text("allocation: expected a budget of 0 bytes or more, got ", *budget.bytes));
  if (budget.microseconds && !(std::isfinite(*budget.microseconds) && *budget.microseconds >= 0.0))
    throw ConfigError(text("allocation: expected a budget of 0 microseconds or more, got ",
                           *budget.microseconds));
}

// What the knapsack's costs stand for: bytes come first if they are limited.
struct Meaning {
  bool has_bytes = false;
  bool has_microseconds = false;

  std::size_t microseconds_at() const { return has_bytes ? 1 : 0; }
  Costs costs_of(const Candidate& candidate) const {
    Costs out{};
    if (has_bytes) out[0] = static_cast<double>(candidate.bytes);
    if (has_microseconds) out[microseconds_at()] = candidate.microseconds;
    return out;
  }
};

// Candidates that another beats or equals in everything limited are left out; of equal ones the
// better in what is not limited stays, then the earlier.
std::vector<Option> useful_options(const LayerCandidates& candidates, const Meaning& meaning) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) {
    return std::tuple(candidates[i].loss, candidates[i].bytes, candidates[i].microseconds, i);
  });
  std::vector<Option> out;
  for (const std::size_t i : order) {
    const Costs costs = meaning.costs_of(candidates[i]);
    const bool is_beaten = std::ranges::any_of(out, [&](const Option& other) {
      return other.costs[0] <= costs[0] && other.costs[1] <= costs[1];
    });
    if (!is_beaten) out.push_back({candidates[i].loss, costs, static_cast<std::int64_t>(i)});
  }
  std::ranges::sort(out, {}, [](const Option& option) {
    return std::tuple(option.costs[0], option.costs[1], option.loss);
  });
  return out;
}

Problem problem_of(std::span<const LayerCandidates> layers, const Budget& budget,
                   const Meaning& meaning) {
  Problem out;
  out.limits.fill(std::numeric_limits<double>::infinity());
  if (budget.bytes) out.limits[0] = static_cast<double>(*budget.bytes);
  if (budget.microseconds) out.limits[meaning.microseconds_at()] = *budget.microseconds;
  for (const LayerCandidates& candidates : layers)
    out.layers.push_back(useful_options(candidates, meaning));
  return out;
}

Allocation with_sums(std::span<const LayerCandidates> layers, const Problem& problem,
                     const Choice& choice) {
  Allocation out;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::int64_t index = problem.layers[l][choice[l]].candidate;
    const Candidate& candidate = layers[l][static_cast<std::size_t>(index)];
    out.choice.push_back(index);
    out.loss += candidate.loss;
    out.bytes += candidate.bytes;
    out.microseconds += candidate.microseconds;
  }
  for (const LayerCandidates& candidates : layers) {
    out.least_bytes += std::ranges::min(candidates, {}, &Candidate::bytes).bytes;
    out.least_microseconds +=
        std::ranges::min(candidates, {}, &Candidate::microseconds).microseconds;
  }
  return out;
}

// The few that lose least once they fit, the best first. Empty if none can be made to fit.
std::vector<Choice> fitting(const Problem& problem, const std::vector<Choice>& starts) {
  std::vector<std::tuple<double, Choice>> found;
  for (Choice choice : starts) {
    if (!repair(problem, choice)) continue;
    const double loss = totals_of(problem, choice).loss;
    found.emplace_back(loss, std::move(choice));
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  found.resize(std::min(found.size(), kStarts));
  std::vector<Choice> out;
  out.reserve(found.size());
  for (auto& [loss, choice] : found) out.push_back(std::move(choice));
  return out;
}

Choice best_spent(const Problem& problem, const Costs& prices, std::vector<Choice> starts) {
  Choice best;
  for (Choice& start : starts) {
    Choice next = spent(problem, prices, std::move(start));
    if (best.empty() || totals_of(problem, next).loss < totals_of(problem, best).loss)
      best = std::move(next);
  }
  return best;
}

template <typename Value>
std::vector<std::vector<knapsack::Item>> items_of(const Problem& problem, std::size_t cost,
                                                  Value&& value) {
  std::vector<std::vector<knapsack::Item>> out;
  for (const auto& options : problem.layers) {
    std::vector<knapsack::Item>& layer = out.emplace_back();
    for (const Option& option : options) layer.push_back({option.costs[cost], value(option)});
  }
  return out;
}

// Short fronts find what takes more than two exchanges: exactly within one limit, the other, if it
// binds too, being paid for instead.
Choice refined(const Problem& problem, const Costs& prices, Choice choice) {
  for (std::size_t j = 0; j < prices.size(); ++j) {
    if (prices[j] == 0.0) continue;
    const std::size_t other = 1 - j;
    const double loss = totals_of(problem, choice).loss;
    const double paid = prices[other] > 0.0 ? prices[other] * problem.limits[other] : 0.0;
    const auto items = items_of(problem, j, [&](const Option& option) {
      return option.loss + prices[other] * option.costs[other];
    });
    const knapsack::FrontResult front = least_value(
        items, {.limit = problem.limits[j], .upper = loss + paid, .max_states = kShortFront});
    if (!front.choice) continue;
    Choice next = *front.choice;
    if (!repair(problem, next)) continue;
    next = spent(problem, prices, std::move(next));
    if (totals_of(problem, next).loss < loss) choice = std::move(next);
  }
  return choice;
}

// The choice with the least second cost among those within the first limit.
knapsack::FrontResult least_second_cost(const Problem& problem) {
  const auto items = items_of(problem, 0, [](const Option& option) { return option.costs[1]; });
  return least_value(
      items, {.limit = problem.limits[0], .upper = problem.limits[1], .max_states = kMostStates});
}

// Neither limit alone is out of reach, but both together are.
Choice least_overshoot(const Problem& problem) {
  Choice best;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < 2; ++j) {
    Choice choice = cheapest(problem, j);
    repair(problem, choice);
    const double over = overshoot(problem, totals_of(problem, choice).costs);
    if (over < least) {
      least = over;
      best = std::move(choice);
    }
  }
  return best;
}

Allocation infeasible(std::span<const LayerCandidates> layers, const Problem& problem,
                      const Meaning& meaning, bool is_certain) {
  std::array<bool, 2> is_out_of_reach{};
  for (std::size_t j = 0; j < 2; ++j) {
    const Totals least = totals_of(problem, cheapest(problem, j));
    is_out_of_reach[j] = least.costs[j] > problem.limits[j];
  }
  const bool is_joint = !is_out_of_reach[0] && !is_out_of_reach[1];
  const Choice choice =
      is_joint ? least_overshoot(problem) : cheapest(problem, is_out_of_reach[0] ? 0 : 1);
  Allocation out = with_sums(layers, problem, choice);
  out.is_feasible = false;
  out.is_certain = is_certain;
  out.is_bound_by_bytes = meaning.has_bytes && (is_joint || is_out_of_reach[0]);
  out.is_bound_by_microseconds =
      meaning.has_microseconds && (is_joint || is_out_of_reach[meaning.microseconds_at()]);
  return out;
}

void set_bound(Allocation& allocation, double bound) {
  allocation.lower_bound = std::clamp(bound, 0.0, allocation.loss);
  allocation.gap =
      allocation.loss > 0.0 ? (allocation.loss - allocation.lower_bound) / allocation.loss : 0.0;
}

}  // namespace

Allocation allocate(std::span<const LayerCandidates> layers, const Budget& budget) {
  check(layers);
  check(budget);
  const Meaning meaning{budget.bytes.has_value(), budget.microseconds.has_value()};
  const Problem problem = problem_of(layers, budget, meaning);
  const knapsack::Dual dual = solve_dual(problem);
  if (!dual.is_attainable) return infeasible(layers, problem, meaning, true);
  std::vector<Choice> starts = fitting(problem, dual.choices);
  if (starts.empty()) {
    const knapsack::FrontResult front = least_second_cost(problem);
    if (!front.choice) return infeasible(layers, problem, meaning, front.is_complete);
    starts.push_back(*front.choice);
  }
  Choice choice = best_spent(problem, dual.prices, std::move(starts));
  choice = exchanged(problem, dual.prices, refined(problem, dual.prices, std::move(choice)));
  Allocation out = with_sums(layers, problem, choice);
  set_bound(out, dual.bound);
  if (meaning.has_bytes) out.loss_per_byte = dual.prices[0];
  if (meaning.has_microseconds) out.loss_per_microsecond = dual.prices[meaning.microseconds_at()];
  out.is_bound_by_bytes = out.loss_per_byte > 0.0;
  out.is_bound_by_microseconds = out.loss_per_microsecond > 0.0;
  return out;
}

std::vector<Allocation> frontier(std::span<const LayerCandidates> layers,
                                 std::span<const std::int64_t> byte_budgets,
                                 std::optional<double> microseconds) {
  std::vector<std::size_t> order(byte_budgets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return byte_budgets[i]; });
  std::vector<Allocation> out(byte_budgets.size());
  const Allocation* smaller = nullptr;
  for (const std::size_t i : order) {
    out[i] = allocate(layers, {byte_budgets[i], microseconds});
    if (smaller != nullptr && smaller->is_feasible &&
        (!out[i].is_feasible || smaller->loss < out[i].loss)) {
      // What fits less also fits here; the bound and the prices are this budget's own.
      const Allocation own = out[i];
      out[i] = *smaller;
      set_bound(out[i], own.is_feasible ? own.lower_bound : 0.0);
      out[i].loss_per_byte = own.loss_per_byte;
      out[i].loss_per_microsecond = own.loss_per_microsecond;
      out[i].is_bound_by_bytes = own.is_feasible && own.is_bound_by_bytes;
      out[i].is_bound_by_microseconds = own.is_feasible && own.is_bound_by_microseconds;
    }
    smaller = &out[i];
  }
  return out;
}

}  // namespace coppice
