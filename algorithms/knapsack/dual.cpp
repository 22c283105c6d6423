#include "algorithms/knapsack/dual.h"

#include <algorithm>  // for stable_sort, min, max
#include <cmath>      // for abs, isfinite
#include <limits>     // for numeric_limits

#include "algorithms/knapsack/hull.h"

namespace coppice::knapsack {
namespace {

// What a relaxed layer minimises: a mixture of its loss and its second cost.
struct Objective {
  double loss = 1.0;
  double other = 0.0;

  double of(const Option& option) const { return loss * option.loss + other * option.costs[1]; }
};

struct Segment {
  double slope = 0.0;
  double cost = 0.0;
  double saved = 0.0;
  double other = 0.0;  // change of the second cost
  std::size_t layer = 0;
  std::size_t option = 0;  // at its end
};

std::vector<Corner> hull_of(const std::vector<Option>& options, const Objective& objective,
                            std::vector<Item>& items) {
  items.clear();
  for (const Option& option : options) items.push_back({option.costs[0], objective.of(option)});
  return knapsack::hull_of(items);
}

// The optimum when layers may mix their options, of the first limit alone.
struct Relaxed {
  double value = 0.0;
  double price = 0.0;  // of the first cost
  double other = 0.0;  // the mixture's second cost
  Choice choice;       // whole options that keep to the first limit
};

std::vector<Segment> start_cheapest(const Problem& problem, const Objective& objective,
                                    Relaxed& out, double& left) {
  std::vector<Segment> segments;
  std::vector<Item> items;
  for (std::size_t l = 0; l < problem.layers.size(); ++l) {
    const std::vector<Option>& options = problem.layers[l];
    const std::vector<Corner> hull = hull_of(options, objective, items);
    out.choice.push_back(hull.front().item);
    out.value += hull.front().value;
    out.other += options[hull.front().item].costs[1];
    left -= hull.front().cost;
    for (std::size_t i = 1; i < hull.size(); ++i) {
      const double other = options[hull[i].item].costs[1] - options[hull[i - 1].item].costs[1];
      segments.push_back({hull[i].slope, hull[i].cost - hull[i - 1].cost,
                          hull[i - 1].value - hull[i].value, other, l, hull[i].item});
    }
  }
  return segments;
}

// Dantzig's rule for mixtures (Sinha & Zoltners 1979): segments in the order of what a unit of cost
// saves. The first that does not fit is the one that is mixed, and its slope the price; the whole
// options then take what else fits.
Relaxed relax(const Problem& problem, const Objective& objective) {
  Relaxed out;
  double left = problem.limits[0];
  std::vector<Segment> segments = start_cheapest(problem, objective, out, left);
  std::ranges::stable_sort(segments,
                           [](const Segment& a, const Segment& b) { return a.slope > b.slope; });
  std::vector<bool> is_stopped(problem.layers.size());
  bool is_mixed = false;
  for (const Segment& segment : segments) {
    if (is_stopped[segment.layer]) continue;
    const bool is_whole = segment.cost <= left;
    const double share = is_whole ? 1.0 : std::max(0.0, left) / segment.cost;
    if (!is_mixed) {
      out.value -= share * segment.saved;
      out.other += share * segment.other;
    }
    if (is_whole) {
      out.choice[segment.layer] = segment.option;
      left -= segment.cost;
      continue;
    }
    is_stopped[segment.layer] = true;
    if (!is_mixed) out.price = segment.slope;
    is_mixed = true;
  }
  return out;
}

// Each layer for itself at `prices`.
Choice own_choice(const Problem& problem, const Costs& prices) {
  Choice out;
  for (const std::vector<Option>& options : problem.layers) {
    const auto best = std::ranges::min_element(options, {}, [&](const Option& option) {
      return option.loss + priced(prices, option.costs);
    });
    out.push_back(static_cast<std::size_t>(best - options.begin()));
  }
  return out;
}

// The dual as a function of the second price alone, the first being the best for it: concave, and
// piecewise linear.
struct Sample {
  double price = 0.0;
  double height = 0.0;
  double slope = 0.0;
  double first_price = 0.0;
};

Sample sample(const Problem& problem, double price, std::vector<Choice>& choices) {
  Relaxed relaxed = relax(problem, {1.0, price});
  choices.push_back(std::move(relaxed.choice));
  return {price, relaxed.value - price * problem.limits[1], relaxed.other - problem.limits[1],
          relaxed.price};
}

// A price of the size that matters: all there is to lose, over all there is to save.
double usual_price(const Problem& problem) {
  double loss = 0.0;
  double other = 0.0;
  for (const std::vector<Option>& options : problem.layers) {
    const auto [least, most] = std::ranges::minmax(options, {}, &Option::loss);
    loss += most.loss - least.loss;
    const auto cost = [](const Option& option) { return option.costs[1]; };
    const auto [cheap, dear] = std::ranges::minmax(options, {}, cost);
    other += dear.costs[1] - cheap.costs[1];
  }
  return loss > 0.0 && other > 0.0 ? loss / other : 1.0;
}

// Where the tangents of both ends meet: no point between them is higher.
Sample meeting_point(const Sample& low, const Sample& high) {
  const double price =
      (high.height - low.height + low.slope * low.price - high.slope * high.price) /
      (low.slope - high.slope);
  return {price, low.height + low.slope * (price - low.price), 0.0, 0.0};
}

constexpr int kDoublings = 48;
constexpr int kCuts = 46;
constexpr double kRounding = 1e-12;

Sample best_sample(const Problem& problem, std::vector<Choice>& choices) {
  Sample low = sample(problem, 0.0, choices);
  if (low.slope <= 0.0) return low;
  Sample high = sample(problem, usual_price(problem), choices);
  for (int i = 0; i < kDoublings && high.slope > 0.0; ++i) {
    low = high;
    high = sample(problem, 4.0 * high.price, choices);
  }
  if (high.slope > 0.0) return high;  // the limit is met only to the last bit
  for (int i = 0; i < kCuts; ++i) {
    const Sample cut = meeting_point(low, high);
    const bool is_halving = i % 3 == 2;  // tangents alone may creep from one side
    const double price = is_halving ? (low.price + high.price) / 2.0 : cut.price;
    if (!(price > low.price && price < high.price)) break;
    const Sample middle = sample(problem, price, choices);
    if (!is_halving && middle.height >= cut.height - kRounding * std::abs(cut.height))
      return middle;
    (middle.slope <= 0.0 ? high : low) = middle;
  }
  return low.height > high.height ? low : high;
}

}  // namespace

double dual_bound(const Problem& problem, const Costs& prices) {
  double value = 0.0;
  double magnitude = 0.0;
  for (const std::vector<Option>& options : problem.layers) {
    double least = std::numeric_limits<double>::infinity();
    for (const Option& option : options)
      least = std::min(least, option.loss + priced(prices, option.costs));
    value += least;
  }
  magnitude += value;
  if (prices == Costs{}) return value;  // as exact as the sum of a choice's losses
  for (std::size_t j = 0; j < prices.size(); ++j) {
    if (prices[j] == 0.0) continue;
    value -= prices[j] * problem.limits[j];
    magnitude += prices[j] * problem.limits[j];
  }
  const double terms = static_cast<double>(problem.layers.size()) + 8.0;
  return value - terms * std::numeric_limits<double>::epsilon() * magnitude;
}

Dual solve_dual(const Problem& problem) {
  Dual out;
  for (std::size_t j = 0; j < problem.limits.size(); ++j) {
    if (totals_of(problem, cheapest(problem, j)).costs[j] > problem.limits[j]) return out;
  }
  if (std::isfinite(problem.limits[1])) {
    Relaxed fastest = relax(problem, {0.0, 1.0});
    if (fastest.value > problem.limits[1] * (1.0 + 1e-9)) return out;
    const Sample best = best_sample(problem, out.choices);
    out.prices = {best.first_price, best.price};
    out.choices.push_back(std::move(fastest.choice));
  } else {
    Relaxed relaxed = relax(problem, {});
    out.prices = {relaxed.price, 0.0};
    out.choices.push_back(std::move(relaxed.choice));
  }
  out.is_attainable = true;
  out.bound = dual_bound(problem, out.prices);
  // Costs that differ in their last bits have prices that overflow.
  const double free = dual_bound(problem, {});
  if (!(out.bound >= free)) {
    out.bound = free;
    if (!std::isfinite(out.prices[0]) || !std::isfinite(out.prices[1])) out.prices = {};
  }
  out.choices.push_back(own_choice(problem, out.prices));
  return out;
}

}  // namespace coppice::knapsack
