#include "algorithms/knapsack/search.h"

#include <algorithm>  // for sort, max
#include <limits>     // for numeric_limits
#include <tuple>      // for tie
#include <vector>     // for vector

namespace coppice::knapsack {
namespace {

constexpr std::size_t kNoLayer = std::numeric_limits<std::size_t>::max();

// The exchange of one layer's option for another of its own; kNoLayer: none.
struct Move {
  std::size_t layer = kNoLayer;
  std::size_t option = 0;
  double loss = 0.0;  // changes
  Costs costs = {};
  double reduced = 0.0;  // loss + prices x costs
};

template <typename Visit>
void visit_moves(const Problem& problem, const Choice& choice, const Costs& prices, Visit&& visit) {
  for (std::size_t l = 0; l < choice.size(); ++l) {
    const Option& now = problem.layers[l][choice[l]];
    for (std::size_t i = 0; i < problem.layers[l].size(); ++i) {
      if (i == choice[l]) continue;
      const Option& next = problem.layers[l][i];
      const double loss = next.loss - now.loss;
      const Costs costs{next.costs[0] - now.costs[0], next.costs[1] - now.costs[1]};
      visit(Move{l, i, loss, costs, loss + priced(prices, costs)});
    }
  }
}

void make(const Move& move, Choice& choice) {
  if (move.layer != kNoLayer) choice[move.layer] = move.option;
}

Costs sum(const Costs& a, const Costs& b) { return {a[0] + b[0], a[1] + b[1]}; }

std::size_t option_count(const Problem& problem) {
  std::size_t count = 0;
  for (const auto& options : problem.layers) count += options.size();
  return count;
}

// The move of less loss that fits, with the least reduced loss. False: there is none.
bool spend(const Problem& problem, const Costs& prices, Choice& choice) {
  const Totals now = totals_of(problem, choice);
  Move best;
  visit_moves(problem, choice, prices, [&](const Move& move) {
    if (move.loss >= 0.0 || !fits(problem, sum(now.costs, move.costs))) return;
    if (best.layer == kNoLayer ||
        std::tie(move.reduced, move.loss) < std::tie(best.reduced, best.loss))
      best = move;
  });
  if (best.layer == kNoLayer) return false;
  Choice next = choice;
  make(best, next);
  const Totals after = totals_of(problem, next);
  if (!(after.loss < now.loss) || !fits(problem, after.costs)) return false;  // but for rounding
  choice = std::move(next);
  return true;
}

// No exchange, and all others by their reduced loss.
std::vector<Move> sorted_moves(const Problem& problem, const Costs& prices, const Choice& choice) {
  std::vector<Move> moves(1);
  moves.reserve(option_count(problem));
  visit_moves(problem, choice, prices, [&](const Move& move) { moves.push_back(move); });
  std::ranges::sort(moves, [](const Move& a, const Move& b) {
    return std::tie(a.reduced, a.layer, a.option) < std::tie(b.reduced, b.layer, b.option);
  });
  return moves;
}

// The best exchange of one layer or two. Two moves change the loss by their reduced losses less
// prices x costs, of which what is left over is the most: beyond that no pair can gain, and of the
// sorted moves only the first few are looked at.
bool exchange(const Problem& problem, const Costs& prices, Choice& choice) {
  const Totals now = totals_of(problem, choice);
  double left_over = 0.0;
  for (std::size_t j = 0; j < prices.size(); ++j) {
    if (prices[j] > 0.0) left_over += prices[j] * (problem.limits[j] - now.costs[j]);
  }
  const std::vector<Move> moves = sorted_moves(problem, prices, choice);
  double best_loss = now.loss;
  Choice best;
  for (std::size_t a = 0; a + 1 < moves.size(); ++a) {
    for (std::size_t b = a + 1; b < moves.size(); ++b) {
      const double gain = now.loss - best_loss;
      if (moves[a].reduced + moves[b].reduced >= left_over - gain) break;
      if (moves[a].layer == moves[b].layer) continue;
      if (moves[a].loss + moves[b].loss >= -gain) continue;
      if (!fits(problem, sum(now.costs, sum(moves[a].costs, moves[b].costs)))) continue;
      Choice next = choice;
      make(moves[a], next);
      make(moves[b], next);
      const Totals after = totals_of(problem, next);
      if (!(after.loss < best_loss) || !fits(problem, after.costs)) continue;
      best_loss = after.loss;
      best = std::move(next);
    }
  }
  if (best.empty()) return false;
  choice = std::move(best);
  return true;
}

}  // namespace

double overshoot(const Problem& problem, const Costs& costs) {
  double out = 0.0;
  for (std::size_t j = 0; j < costs.size(); ++j) {
    const double limit = problem.limits[j];
    out += std::max(0.0, costs[j] - limit) / (limit > 0.0 ? limit : 1.0);
  }
  return out;
}

bool repair(const Problem& problem, Choice& choice) {
  // Each exchange lowers the overshoot; the count ends what rounding could keep going.
  for (std::size_t i = 0; i < 4 * option_count(problem); ++i) {
    const Totals now = totals_of(problem, choice);
    if (fits(problem, now.costs)) return true;
    const double over = overshoot(problem, now.costs);
    Move best;
    double best_rate = std::numeric_limits<double>::infinity();
    double best_drop = 0.0;
    visit_moves(problem, choice, {}, [&](const Move& move) {
      const double drop = over - overshoot(problem, sum(now.costs, move.costs));
      if (!(drop > 1e-12 * over)) return;
      const double rate = std::max(0.0, move.loss) / drop;
      if (rate < best_rate || (rate == best_rate && drop > best_drop)) {
        best = move;
        best_rate = rate;
        best_drop = drop;
      }
    });
    if (best.layer == kNoLayer) return false;
    make(best, choice);
  }
  return fits(problem, totals_of(problem, choice).costs);
}

Choice spent(const Problem& problem, const Costs& prices, Choice choice) {
  while (spend(problem, prices, choice)) {
  }
  return choice;
}

Choice exchanged(const Problem& problem, const Costs& prices, Choice choice) {
  while (exchange(problem, prices, choice)) {
  }
  return choice;
}

}  // namespace coppice::knapsack
