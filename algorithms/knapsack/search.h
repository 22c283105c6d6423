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

// Spends what is left: `choice`, which fits, with options of less loss, least loss + price x cost
// first; then with pairs of exchanged options (Pisinger 1995 calls what prices leave a core), until
// no exchange of one or two layers has less loss and fits.
Choice improved(const Problem& problem, const Costs& prices, Choice choice);

}  // namespace coppice::knapsack
