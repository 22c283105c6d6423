#pragma once
// Masks that change while their size stays: some of a layer's kept weights go, as many others come
// in their place and start at zero. Two methods, with what their public implementations get wrong
// left out: FedDST (Bibikar, Vikalo, Wang and Chen 2022, "Federated dynamic sparse training") and
// FedRTS (Huang, Yang, Chen, Ye and Wu 2025, "FedRTS: federated robust pruning via combinatorial
// Thompson sampling"). Both ask clients for the same ballot. Pure functions of one layer, [n]
// weights and a mask of as many; nothing of what they are given is changed unless it is said so.
// Any thread. All throw ConfigError for sizes that differ and for counts that there cannot be.

#include <cstdint>      // for int64_t
#include <optional>     // for optional
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/mask.h"
#include "core/random.h"

namespace coppice {

enum class RegrowRule { kVotes, kPosterior };  // FedDST, FedRTS

struct RegrowMethod {
  RegrowRule rule = RegrowRule::kVotes;
  double usual_share = 0.5;  // alpha of the authors' code
};

// Of an allocator by its name; nothing: it does not regrow.
std::optional<RegrowMethod> regrow_method(std::string_view allocator);

// The share of a layer's kept weights that the next of `steps` adjustments moves, `done` of them
// being done: share / 2 x (1 + cos(pi done / steps)) (Evci et al. 2020, section 3). Time is counted
// in adjustments: the first moves `share`, none moves nothing. Throws unless 0 <= done < steps.
double regrow_share(double share, std::int64_t done, std::int64_t steps);

// How many of a layer's `kept` of `weights` weights change places: round(share x kept), or as many
// as there is room for.
std::int64_t moved_weights(double share, std::int64_t kept, std::int64_t weights);

// A client's ballot: 1 for the `kept` of the largest magnitude among those that `mask` keeps, and
// for the `grown` of the largest gradient among the others; ties go to the lower index. `gradient`
// is finite.
std::vector<float> layer_ballot(const Mask& mask, std::span<const float> weights,
                                std::span<const float> gradient, std::int64_t kept,
                                std::int64_t grown);

// FedDST: of what `mask` keeps the `count` with the fewest votes go, of the others the `count` with
// the most come; ties go to the larger of `weights`, the mean model's, then to the lower index.
// `votes` are exact sums of weighted ballots.
Mask exchange_by_votes(const Mask& mask, std::span<const float> weights,
                       std::span<const std::int64_t> votes, std::int64_t count);

struct PosteriorRates {
  double ballots = 0.5;    // gamma
  double evidence = 10.0;  // lambda
};

// FedRTS: what a round says of every weight, X in [0, 1], joins Beta(alphas, betas), which are 1 at
// first: alpha += lambda X, beta += lambda (1 - X), X = (1 - gamma) X_mean + gamma votes / total.
// X_mean is 1 for the `kept` of the largest of `weights`, the mean model's, among those that `mask`
// keeps, 0 for the rest of them, and 1/2 where nothing is known, outside the mask. `total` > 0 is
// the weight of all ballots.
void join_evidence(const Mask& mask, std::span<const float> weights,
                   std::span<const std::int64_t> votes, std::int64_t total, std::int64_t kept,
                   const PosteriorRates& rates, std::span<float> alphas, std::span<float> betas);

// The `count` weights whose draw from Beta(alphas, betas) is largest (Thompson sampling); ties go
// to the lower index. Draws are taken in the order of the weights.
Mask drawn_mask(std::span<const float> alphas, std::span<const float> betas, std::int64_t count,
                RandomStream& stream);

// Beta(alpha, beta), both > 0: G_alpha / (G_alpha + G_beta) of two gamma variates.
double next_beta(RandomStream& stream, double alpha, double beta);

}  // namespace coppice
