#pragma once
// What compressing a tensor is predicted to cost, as a small table: one number a candidate, which
// is what a client uploads instead of its curvature. Tables add up over clients, because all of
// them compress the same weights. Pure functions; any thread.

#include <cstddef>     // for size_t
#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <optional>    // for optional
#include <span>        // for span
#include <vector>      // for vector

#include "algorithms/channel_widths.h"
#include "core/graph.h"
#include "core/mask.h"
#include "core/weight_candidate.h"

namespace coppice {

// The round(density x n) elements of the largest magnitude, at least one; of equal ones those
// before. Throws ConfigError unless 0 < density <= 1, DataError for a value that is not finite.
Mask kept_by_magnitude(std::span<const float> values, double density);

// The same for blocks of `parameter`, [out, in, ...], by the sum of squares: 4 outputs by 4 inputs
// at one place of the window, the unit that the runtime skips. Of a linear layer these are the
// blocks of BlockView, in its order. An element of a kept block is kept even if it is 0.
Mask kept_blocks(const ParameterSpec& parameter, std::span<const float> values, double density);

// Called with a candidate's index and what is added to every element, compressed w - w; valid until
// it returns.
using ChangeVisitor = std::function<void(std::size_t, std::span<const float>)>;

// What a candidate keeps of `values`, those of `parameter`: a mask of as many elements as the
// channels that stay have. Nothing where `widths` has none for the parameter. Throws ConfigError if
// `values` is not of the parameter's size, and for shares out of (0, 1] or two densities below 1;
// DataError for a value that is not finite.
struct KeptWeights {
  KeptChannels channels;
  ParameterSpec parameter;  // of those channels
  Mask mask;                // of its elements
};
std::optional<KeptWeights> kept_weights(const ParameterSpec& parameter,
                                        std::span<const float> values,
                                        const WeightCandidate& candidate,
                                        const ChannelWidths& widths);

// For each of `candidates` in turn: leaves out the channels that it does not keep, masks the rest
// of `values`, puts what is left on the grid of weight_quant(), and shows the change of each
// element, -w where it went. A candidate that `widths` has no channels for is not shown. Memory for
// one candidate at a time. Neighbours with the same shares share their mask. Throws as
// kept_weights(), and ConfigError for bits that are neither 32 nor known.
void candidate_changes(const ParameterSpec& parameter, std::span<const float> values,
                       std::span<const WeightCandidate> candidates, const ChangeVisitor& visit,
                       const ChannelWidths& widths = {});

// The table: for each candidate c the second-order prediction of what the loss gains,
// Omega(c) = 1/2 sum over pruned h w^2 + 1/2 sum over kept h (w - q(w))^2 (LeCun et al. 1990, eq.
// 3, with the error of the real quantizer), h being `curvature`. Leaves out that weights interact,
// which bend_along() (algorithms/curvature.h) does not. 0 for a candidate that `widths` has no
// channels for. Throws as candidate_changes() does, and DataError for a curvature that is negative
// or not finite.
std::vector<double> sensitivity(const ParameterSpec& parameter, std::span<const float> values,
                                std::span<const float> curvature,
                                std::span<const WeightCandidate> candidates,
                                const ChannelWidths& widths = {});

// What a client's table counts in a round's sum: its share of all samples over the probability that
// it is in the cohort (Horvitz & Thompson 1952). Throws ConfigError unless share >= 0 and 0 <
// inclusion <= 1.
double participation_weight(double share, double inclusion);

// average <- (1 - rate) average + rate x sum / weight_sum, where `sum` is that of the round's
// tables, each times its participation_weight(), and `weight_sum` that of the weights: a ratio,
// because the weights of a small cohort do not add up to 1. An empty average becomes sum /
// weight_sum; weight 0, a round without tables, changes nothing. Throws ConfigError if sizes
// differ, weight_sum is negative or not finite, or rate is not in (0, 1].
void move_average(std::vector<double>& average, std::span<const double> sum, double weight_sum,
                  double rate);

// What the table said about a choice, and what the loss really did.
struct LossJump {
  double predicted = 0.0;
  double measured = 0.0;
};

struct LossFactor {
  double factor = 1.0;      // multiply predictions by it
  double spread = 0.0;      // median distance from log(factor) of the logarithms
  std::int64_t points = 0;  // how many jumps it is from
};

// exp of the median of log(measured / predicted), so that one failed probe among three changes
// little. A ratio counts as at least 1/100 (also where the loss fell) and at most 100; jumps that
// were predicted as 0 do not count. Without any the factor is 1. Throws ConfigError for values that
// are not finite and predictions below 0.
LossFactor fit_loss_factor(std::span<const LossJump> jumps);

}  // namespace coppice
