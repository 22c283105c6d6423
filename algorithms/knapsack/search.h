#pragma once
// From the choice that prices suggest to one that fits and is hard to improve. Deterministic and
// pure; any thread.

#include "algorithms/knapsack/problem.h"

namespace coppice::knapsack {

// Exchanges one option at a time, the one with the least loss for what it takes off the overshoot,
// until the choice fits. False if no exchange brings it nearer; the choice is where that was found.
bool repair(const Problem& problem, Choice& choice);

// Sum over the limits of the overshoot, each as a fraction of its limit. 0 if the choice fits.
double overshoot(const Problem& problem, const Costs& costs);

// Spends what is left: `choice`, which fits, with options of less loss as long as one fits, that of
// the least loss + price x cost first.
Choice spent(const Problem& problem, const Costs& prices, Choice choice);

// Exchanges the options of one or two layers of `choice`, which fits, until no such exchange has
// less loss and fits. Only those that the prices leave open (Pisinger 1995 calls them a core) are
// looked at: the worse the prices, the slower.
Choice exchanged(const Problem& problem, const Costs& prices, Choice choice);

}  // namespace coppice::knapsack
