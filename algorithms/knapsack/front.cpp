#include "algorithms/knapsack/front.h"

#include <algorithm>  // for sort, nth_element, min, max, reverse
#include <limits>     // for numeric_limits
#include <tuple>      // for tie

namespace coppice::knapsack {
namespace {

struct State {
  double cost = 0.0;
  double value = 0.0;
  std::uint32_t parent = 0;  // in the front before
  std::uint32_t item = 0;
};

struct Step {
  std::uint32_t parent = 0;
  std::uint32_t item = 0;
};

// What the layers that are still to come take at least.
struct Rest {
  double cost = 0.0;
  double priced = 0.0;  // value + price x cost
};

std::vector<Rest> rests_of(std::span<const std::vector<Item>> layers, double price) {
  std::vector<Rest> out(layers.size() + 1);
  for (std::size_t l = layers.size(); l-- > 0;) {
    Rest least{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
    for (const Item& item : layers[l]) {
      least.cost = std::min(least.cost, item.cost);
      least.priced = std::min(least.priced, item.value + price * item.cost);
    }
    out[l] = {out[l + 1].cost + least.cost, out[l + 1].priced + least.priced};
  }
  return out;
}

// Rounding in bounds must not lose the state that leads to the optimum.
constexpr double kRounding = 1e-11;

// Which states can still end within the limit and at `upper` or below.
class Promise {
 public:
  Promise(const FrontBounds& bounds, const Rest& rest)
      : price_(bounds.price),
        most_cost_(bounds.limit + kRounding * bounds.limit - rest.cost),
        most_priced_(bounds.upper + price_ * bounds.limit +
                     kRounding * (bounds.upper + price_ * bounds.limit) - rest.priced) {}

  double priced(const State& state) const { return state.value + price_ * state.cost; }
  bool holds(const State& state) const {
    return state.cost <= most_cost_ && priced(state) <= most_priced_;
  }

 private:
  double price_;
  double most_cost_;
  double most_priced_;
};

std::vector<State> expanded(const std::vector<State>& front, const std::vector<Item>& items,
                            const Promise& promise) {
  std::vector<State> out;
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    for (std::uint32_t parent = 0; parent < front.size(); ++parent) {
      const State state{front[parent].cost + items[i].cost, front[parent].value + items[i].value,
                        parent, i};
      if (promise.holds(state)) out.push_back(state);
    }
  }
  return out;
}

// Keeps the states that no other is as good as in both, ascending in cost.
void keep_undominated(std::vector<State>& states) {
  std::ranges::sort(states, [](const State& a, const State& b) {
    return std::tie(a.cost, a.value, a.parent, a.item) <
           std::tie(b.cost, b.value, b.parent, b.item);
  });
  double least = std::numeric_limits<double>::infinity();
  std::erase_if(states, [&](const State& state) {
    if (state.value >= least) return true;
    least = state.value;
    return false;
  });
}

void keep_promising(std::vector<State>& states, std::size_t count, const Promise& promise) {
  const auto is_better = [&](const State& a, const State& b) {
    const double left = promise.priced(a);
    const double right = promise.priced(b);
    return std::tie(left, a.cost) < std::tie(right, b.cost);
  };
  std::ranges::nth_element(states, states.begin() + static_cast<std::ptrdiff_t>(count), is_better);
  states.resize(count);
  keep_undominated(states);
}

Choice traced(const std::vector<std::vector<Step>>& steps, std::uint32_t at) {
  Choice out;
  for (auto front = steps.rbegin(); front != steps.rend(); ++front) {
    out.push_back((*front)[at].item);
    at = (*front)[at].parent;
  }
  std::ranges::reverse(out);
  return out;
}

}  // namespace

FrontResult least_value(std::span<const std::vector<Item>> layers, const FrontBounds& bounds) {
  const std::vector<Rest> rests = rests_of(layers, bounds.price);
  const auto max_states = static_cast<std::size_t>(bounds.max_states);
  FrontResult out;
  std::vector<State> front(1);
  std::vector<std::vector<Step>> steps;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Promise promise(bounds, rests[l + 1]);
    front = expanded(front, layers[l], promise);
    keep_undominated(front);
    out.largest_front = std::max(out.largest_front, static_cast<std::int64_t>(front.size()));
    if (front.size() > max_states) {
      out.is_complete = false;
      keep_promising(front, max_states, promise);
    }
    std::vector<Step>& step = steps.emplace_back();
    step.reserve(front.size());
    for (const State& state : front) step.push_back({state.parent, state.item});
  }
  // Ascending in cost is descending in value: the last that fits is the best.
  for (std::size_t i = front.size(); i-- > 0;) {
    if (front[i].cost > bounds.limit || front[i].value > bounds.upper) continue;
    out.choice = traced(steps, static_cast<std::uint32_t>(i));
    break;
  }
  return out;
}

}  // namespace coppice::knapsack
