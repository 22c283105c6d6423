#include "algorithms/knapsack/front.h"

#include <algorithm>  // for sort, stable_sort, nth_element, upper_bound, max
#include <limits>     // for numeric_limits
#include <numeric>    // for iota
#include <tuple>      // for tie

namespace coppice::knapsack {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Rounding in bounds must not lose the state that leads to the optimum.
constexpr double kRounding = 1e-11;

struct State {
  double cost = 0.0;
  double value = 0.0;
  double bound = 0.0;        // of what it can become, mixtures allowed
  std::uint32_t parent = 0;  // in the front before
  std::uint32_t item = 0;
};

struct Step {
  std::uint32_t parent = 0;
  std::uint32_t item = 0;
};

// The least value of some layers as a function of the cost that they may have together, mixtures
// allowed: convex, piecewise linear, without limits on the right.
class Relaxation {
 public:
  Relaxation() = default;
  Relaxation(const Relaxation& later, const std::vector<Corner>& hull)
      : cost_(later.cost_ + hull.front().cost), value_(later.value_ + hull.front().value) {
    pieces_.reserve(later.pieces_.size() + hull.size());
    std::size_t i = 1;
    for (const Piece& piece : later.pieces_) {
      for (; i < hull.size() && hull[i].slope > piece.slope; ++i) add(piece_to(hull, i));
      add(piece);
    }
    for (; i < hull.size(); ++i) add(piece_to(hull, i));
  }

  // Infinite if `left` is less than the cheapest cost.
  double at(double left) const {
    if (left < cost_ - kRounding * cost_) return kInfinity;
    const double more = std::max(0.0, left - cost_);
    const auto next = std::ranges::upper_bound(pieces_, more, {}, &Piece::from);
    if (next == pieces_.begin()) return value_;
    const Piece& piece = *(next - 1);
    return value_ - piece.saved_before - piece.slope * std::min(more - piece.from, piece.width);
  }

 private:
  struct Piece {
    double slope = 0.0;
    double width = 0.0;
    double from = 0.0;  // cost above the cheapest
    double saved_before = 0.0;
  };

  static Piece piece_to(const std::vector<Corner>& hull, std::size_t i) {
    return {hull[i].slope, hull[i].cost - hull[i - 1].cost, 0.0, 0.0};
  }

  void add(Piece piece) {
    if (!pieces_.empty()) {
      const Piece& last = pieces_.back();
      piece.from = last.from + last.width;
      piece.saved_before = last.saved_before + last.slope * last.width;
    } else {
      piece.from = 0.0;
      piece.saved_before = 0.0;
    }
    pieces_.push_back(piece);
  }

  double cost_ = 0.0;
  double value_ = 0.0;
  std::vector<Piece> pieces_;  // slopes fall
};

// One entry more than there are layers: entry l is of layers l and after, in `order`.
std::vector<Relaxation> relaxations(const std::vector<std::vector<Corner>>& hulls,
                                    const std::vector<std::size_t>& order) {
  std::vector<Relaxation> out(order.size() + 1);
  for (std::size_t l = order.size(); l-- > 0;) out[l] = Relaxation(out[l + 1], hulls[order[l]]);
  return out;
}

std::vector<std::size_t> widest_first(const std::vector<std::vector<Corner>>& hulls) {
  std::vector<std::size_t> order(hulls.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return hulls[a].back().cost - hulls[a].front().cost >
           hulls[b].back().cost - hulls[b].front().cost;
  });
  return order;
}

std::vector<State> expanded(const std::vector<State>& front, const std::vector<Item>& items,
                            const FrontBounds& bounds, const Relaxation& rest) {
  const double most = bounds.upper + kRounding * bounds.upper;
  std::vector<State> out;
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    for (std::uint32_t parent = 0; parent < front.size(); ++parent) {
      State state{front[parent].cost + items[i].cost, front[parent].value + items[i].value, 0.0,
                  parent, i};
      if (state.value > most) continue;
      state.bound = state.value + rest.at(bounds.limit - state.cost);
      if (state.bound <= most) out.push_back(state);
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
  double least = kInfinity;
  std::erase_if(states, [&](const State& state) {
    if (state.value >= least) return true;
    least = state.value;
    return false;
  });
}

void keep_promising(std::vector<State>& states, std::size_t count) {
  std::ranges::nth_element(states, states.begin() + static_cast<std::ptrdiff_t>(count),
                           [](const State& a, const State& b) {
                             return std::tie(a.bound, a.cost) < std::tie(b.bound, b.cost);
                           });
  states.resize(count);
  keep_undominated(states);
}

Choice traced(const std::vector<std::vector<Step>>& steps, const std::vector<std::size_t>& order,
              std::size_t at) {
  Choice out(order.size());
  for (std::size_t l = order.size(); l-- > 0;) {
    out[order[l]] = steps[l][at].item;
    at = steps[l][at].parent;
  }
  return out;
}

}  // namespace

FrontResult least_value(std::span<const std::vector<Item>> layers, const FrontBounds& bounds) {
  std::vector<std::vector<Corner>> hulls;
  hulls.reserve(layers.size());
  for (const std::vector<Item>& items : layers) hulls.push_back(hull_of(items));
  const std::vector<std::size_t> order = widest_first(hulls);
  const std::vector<Relaxation> rests = relaxations(hulls, order);
  const auto max_states = static_cast<std::size_t>(bounds.max_states);
  FrontResult out;
  std::vector<State> front(1);
  std::vector<std::vector<Step>> steps;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    front = expanded(front, layers[order[l]], bounds, rests[l + 1]);
    keep_undominated(front);
    out.largest_front = std::max(out.largest_front, static_cast<std::int64_t>(front.size()));
    if (front.size() > max_states) {
      out.is_complete = false;
      keep_promising(front, max_states);
    }
    std::vector<Step>& step = steps.emplace_back();
    step.reserve(front.size());
    for (const State& state : front) step.push_back({state.parent, state.item});
  }
  // Ascending in cost is descending in value: the last that fits is the best.
  for (std::size_t i = front.size(); i-- > 0;) {
    if (front[i].cost > bounds.limit) continue;
    out.choice = traced(steps, order, i);
    break;
  }
  return out;
}

}  // namespace coppice::knapsack
