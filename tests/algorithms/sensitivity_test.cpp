#include "algorithms/sensitivity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "algorithms/curvature.h"
#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ParameterSpec spec(Shape shape) { return {.name = "w", .shape = std::move(shape)}; }

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  RandomStream stream({.seed = seed});
  std::vector<float> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<float>(stream.next_normal()));
  return out;
}

std::vector<std::int64_t> kept_indices(const Mask& mask) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < mask.size(); ++i) {
    if (mask.keeps(i)) out.push_back(i);
  }
  return out;
}

TEST(SensitivityTest, TheLargestMagnitudesStayAndOfEqualOnesTheFirst) {
  const std::vector<float> values{1.0F, -3.0F, 2.0F, -1.0F, 1.0F, 0.0F};
  EXPECT_EQ(kept_indices(kept_by_magnitude(values, 0.5)), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(kept_indices(kept_by_magnitude(values, 0.67)), (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(kept_indices(kept_by_magnitude(values, 1e-9)), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(kept_by_magnitude(values, 1.0), Mask(6));
  EXPECT_EQ(kept_by_magnitude(std::vector<float>{}, 0.5).size(), 0);
  EXPECT_THROW(kept_by_magnitude(values, 0.0), ConfigError);
  EXPECT_THROW(kept_by_magnitude(values, 1.5), ConfigError);
  EXPECT_THROW(kept_by_magnitude(std::vector{1.0F, kNan}, 0.5), DataError);
}

TEST(SensitivityTest, BlocksOfALinearLayerAreThoseOfBlockView) {
  const std::vector<float> values = normals(6 * 9, 1);
  const BlockView view(0, 6, 9);
  const Mask mask = kept_blocks(spec({6, 9}), values, 0.5);
  ASSERT_EQ(view.kept_blocks(mask), 3);
  double least_kept = std::numeric_limits<double>::infinity();
  double most_gone = 0.0;
  for (std::int64_t row = 0; row < view.block_rows(); ++row) {
    for (std::int64_t column = 0; column < view.block_columns(); ++column) {
      Mask block(54, false);
      view.set(block, row, column, true);
      double squares = 0.0;
      for (const std::int64_t i : kept_indices(block)) {
        const double value = values[static_cast<std::size_t>(i)];
        squares += value * value;
        EXPECT_EQ(mask.keeps(i), view.keeps_any(mask, row, column));
      }
      if (view.keeps_any(mask, row, column))
        least_kept = std::min(least_kept, squares);
      else
        most_gone = std::max(most_gone, squares);
    }
  }
  EXPECT_GT(least_kept, most_gone);
}

// [out, in, height, width]: fours of inputs at one place, as the runtime stores them.
TEST(SensitivityTest, BlocksOfAConvolutionAreAtOnePlaceOfTheWindow) {
  std::vector<float> values(8 * 5 * 3 * 3);
  const auto index = [](std::int64_t out, std::int64_t in, std::int64_t place) {
    return (out * 5 + in) * 9 + place;
  };
  values[static_cast<std::size_t>(index(5, 2, 7))] = 3.0F;
  const Mask mask = kept_blocks(spec({8, 5, 3, 3}), values, 1e-9);
  EXPECT_EQ(mask.kept(), 16);
  for (std::int64_t out = 4; out < 8; ++out) {
    for (std::int64_t in = 0; in < 4; ++in) EXPECT_TRUE(mask.keeps(index(out, in, 7)));
  }
  // The fifth input is alone in its block.
  values[static_cast<std::size_t>(index(0, 4, 0))] = 4.0F;
  EXPECT_EQ(kept_blocks(spec({8, 5, 3, 3}), values, 1e-9).kept(), 4);
  EXPECT_EQ(kept_blocks(spec({8, 5, 3, 3}), values, 1.0), Mask(360));
}

TEST(SensitivityTest, PrunedWeightsCostHalfTheirCurvatureTimesTheirSquare) {
  const std::vector<float> values{1.0F, -2.0F, 3.0F, 0.5F};
  const std::vector<float> curvature{1.0F, 2.0F, 3.0F, 4.0F};
  const std::vector<WeightCandidate> candidates{{}, {.density = 0.5}, {.density = 0.25}};
  EXPECT_EQ(sensitivity(spec({2, 2}), values, curvature, candidates),
            (std::vector<double>{0.0, 0.5 * (1.0 + 1.0), 0.5 * (1.0 + 8.0 + 1.0)}));
}

TEST(SensitivityTest, KeptWeightsCostTheErrorOfTheRealQuantizer) {
  const ParameterSpec parameter = spec({8, 40});
  const std::vector<float> values = normals(320, 2);
  std::vector<float> curvature = normals(320, 3);
  for (float& value : curvature) value *= value;
  std::vector<WeightCandidate> candidates;
  for (const int bits : {4, 8, 32}) {
    for (const double density : {1.0, 0.5, 0.1})
      candidates.push_back({.density = density, .bits = bits});
    candidates.push_back({.block_density = 0.25, .bits = bits});
  }
  const std::vector<double> table = sensitivity(parameter, values, curvature, candidates);
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const Mask mask = candidates[c].block_density < 1.0
                          ? kept_blocks(parameter, values, candidates[c].block_density)
                          : kept_by_magnitude(values, candidates[c].density);
    std::vector<float> stored = values;
    mask.apply(stored);
    if (candidates[c].bits < 32)
      fake_quantize(stored, weight_quant(parameter, stored, candidates[c].bits));
    double pruned = 0.0;
    double rounded = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double w = values[i];
      const double error = w - double{stored[i]};
      if (mask.keeps(static_cast<std::int64_t>(i))) {
        rounded += 0.5 * double{curvature[i]} * error * error;
      } else {
        pruned += 0.5 * double{curvature[i]} * w * w;
      }
    }
    EXPECT_NEAR(table[c], pruned + rounded, 1e-6 * table[c]) << c;
    EXPECT_EQ(pruned > 0.0, candidates[c].density < 1.0 || candidates[c].block_density < 1.0);
    EXPECT_EQ(rounded > 0.0, candidates[c].bits < 32);
  }
  EXPECT_GT(table[0], table[4]);  // 4 bits against 8
}

TEST(SensitivityTest, TablesOfClientsAddUpToThatOfTheirCurvatures) {
  const ParameterSpec parameter = spec({4, 16});
  const std::vector<float> values = normals(64, 4);
  std::vector<float> a(64);
  std::vector<float> b(64);
  std::vector<float> both(64);
  for (std::size_t i = 0; i < 64; ++i) {
    a[i] = static_cast<float>(i % 5);
    b[i] = static_cast<float>(i % 7);
    both[i] = a[i] + b[i];
  }
  const std::vector<WeightCandidate> candidates{{.density = 0.3, .bits = 4}, {.bits = 8}};
  const auto of = [&](const std::vector<float>& h) {
    return sensitivity(parameter, values, h, candidates);
  };
  for (std::size_t c = 0; c < 2; ++c) EXPECT_NEAR(of(a)[c] + of(b)[c], of(both)[c], 1e-9);
}

TEST(SensitivityTest, WhatCannotBeCompressedIsRefused) {
  const std::vector<float> values{1.0F, 2.0F};
  const auto refused = [&](const WeightCandidate& candidate) {
    return thrown_text<ConfigError>([&] {
      sensitivity(spec({1, 2}), values, values, std::vector{candidate});
    });
  };
  EXPECT_TRUE(contains(refused({.density = 0.5, .block_density = 0.5}), "one density below 1"));
  EXPECT_TRUE(contains(refused({.density = -0.5}), "got -0.5"));
  EXPECT_TRUE(contains(refused({.bits = 5}), "got 5"));
  const std::vector<WeightCandidate> all{{}};
  EXPECT_THROW(sensitivity(spec({1, 3}), values, values, all), ConfigError);
  EXPECT_THROW(sensitivity(spec({1, 2}), values, std::vector{1.0F}, all), ConfigError);
  EXPECT_THROW(sensitivity(spec({1, 2}), std::vector{kNan, 1.0F}, values, all), DataError);
  EXPECT_TRUE(contains(thrown_text<DataError>([&] {
                         sensitivity(spec({1, 2}), values, std::vector{1.0F, -1.0F}, all);
                       }),
                       "curvature 1"));
}

// With every cohort of two of three clients as likely, weighted sums are unbiased.
TEST(SensitivityTest, ParticipationWeightsMakeCohortsStandForAllClients) {
  const double share[] = {0.5, 0.3, 0.2};
  const double table[] = {1.0, 4.0, 10.0};
  double mean = 0.0;
  for (const auto& [a, b] : {std::pair{0, 1}, std::pair{0, 2}, std::pair{1, 2}}) {
    for (const int k : {a, b}) mean += participation_weight(share[k], 2.0 / 3.0) * table[k] / 3.0;
  }
  EXPECT_NEAR(mean, 0.5 * 1.0 + 0.3 * 4.0 + 0.2 * 10.0, 1e-12);
  EXPECT_THROW(participation_weight(0.5, 0.0), ConfigError);
  EXPECT_THROW(participation_weight(-0.5, 1.0), ConfigError);
}

TEST(SensitivityTest, AveragesMoveByTheirRateAndStandStillWithoutTables) {
  std::vector<double> average;
  move_average(average, std::vector{2.0, 6.0}, 2.0, 0.25);
  EXPECT_EQ(average, (std::vector<double>{1.0, 3.0}));
  move_average(average, std::vector{2.5, 0.0}, 0.5, 0.25);
  EXPECT_EQ(average, (std::vector<double>{0.75 * 1.0 + 0.25 * 5.0, 2.25}));
  const std::vector<double> before = average;
  move_average(average, std::vector{9.0, 9.0}, 0.0, 0.25);
  EXPECT_EQ(average, before);
  EXPECT_THROW(move_average(average, std::vector{1.0}, 1.0, 0.25), ConfigError);
  EXPECT_THROW(move_average(average, std::vector{1.0, 1.0}, 1.0, 0.0), ConfigError);
}

TEST(SensitivityTest, TheFactorIsTheMedianRatio) {
  const LossFactor two = fit_loss_factor(std::vector<LossJump>{{1.0, 2.0}, {10.0, 20.0}});
  EXPECT_NEAR(two.factor, 2.0, 1e-12);
  EXPECT_NEAR(two.spread, 0.0, 1e-12);
  EXPECT_EQ(two.points, 2);
  // One probe of three failed; one saw the loss fall.
  EXPECT_NEAR(fit_loss_factor(std::vector<LossJump>{{1.0, 3.0}, {2.0, 6.0}, {1.0, 1e9}}).factor,
              3.0, 1e-12);
  EXPECT_NEAR(fit_loss_factor(std::vector<LossJump>{{1.0, -0.1}}).factor, 0.01, 1e-12);
  EXPECT_EQ(fit_loss_factor({}).factor, 1.0);
  EXPECT_EQ(fit_loss_factor(std::vector<LossJump>{{0.0, 1.0}}).points, 0);
  EXPECT_THROW(fit_loss_factor(std::vector<LossJump>{{-1.0, 1.0}}), ConfigError);
  EXPECT_THROW(fit_loss_factor(std::vector<LossJump>{{1.0, double{kNan}}}), ConfigError);
}

// Logistic regression with the weights that made its labels, so that the gradient is near zero.
struct Logistic {
  std::vector<std::vector<float>> samples;
  std::vector<float> labels;

  double score(const std::vector<float>& weights, std::size_t i) const {
    return std::inner_product(weights.begin(), weights.end(), samples[i].begin(), 0.0);
  }
  double loss(const std::vector<float>& weights) const {
    double sum = 0.0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const double z = score(weights, i);
      sum += std::log1p(std::exp(-std::abs(z))) + std::max(z, 0.0) - double{labels[i]} * z;
    }
    return sum / static_cast<double>(samples.size());
  }
  std::vector<float> gradient(const std::vector<float>& weights, std::size_t first,
                              std::size_t count) const {
    std::vector<float> out(weights.size());
    for (std::size_t i = first; i < first + count; ++i) {
      const double error = 1.0 / (1.0 + std::exp(-score(weights, i))) - double{labels[i]};
      for (std::size_t j = 0; j < out.size(); ++j) {
        out[j] += static_cast<float>(error * double{samples[i][j]} / static_cast<double>(count));
      }
    }
    return out;
  }
};

Logistic logistic_data(const std::vector<float>& weights, std::size_t count) {
  RandomStream stream({.seed = 11});
  Logistic out;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float>& x = out.samples.emplace_back(weights.size());
    for (std::size_t j = 0; j < x.size(); ++j)
      x[j] = static_cast<float>(stream.next_normal() * std::exp2(-static_cast<double>(j % 6)));
    const double probability = 1.0 / (1.0 + std::exp(-out.score(weights, i)));
    out.labels.push_back(stream.next_uniform_double() < probability ? 1.0F : 0.0F);
  }
  return out;
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<double> out;
  out.reserve(values.size());
  for (const double value : values) {
    out.push_back(static_cast<double>(
        std::ranges::count_if(values, [&](double other) { return other < value; })));
  }
  return out;
}

// Spearman's, without ties.
double rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const std::vector<double> left = ranks(a);
  const std::vector<double> right = ranks(b);
  double squares = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (left[i] - right[i]) * (left[i] - right[i]);
  const auto n = static_cast<double>(a.size());
  return 1.0 - 6.0 * squares / (n * (n * n - 1.0));
}

TEST(SensitivityTest, PredictionsRankCandidatesAsTheLossDoes) {
  const ParameterSpec parameter = spec({1, 48});
  const std::vector<float> weights = normals(48, 12);
  const Logistic data = logistic_data(weights, 4096);
  std::vector<float> curvature(48);
  constexpr std::size_t kHalf = 8;
  for (std::size_t i = 0; i < data.samples.size(); i += 2 * kHalf) {
    accumulate_curvature(data.gradient(weights, i, kHalf), data.gradient(weights, i + kHalf, kHalf),
                         kHalf, curvature);
  }
  const std::size_t batches = data.samples.size() / (2 * kHalf);
  for (float& value : curvature) value /= static_cast<float>(batches);
  std::vector<WeightCandidate> candidates;
  for (const double density : {0.8, 0.6, 0.4, 0.3, 0.2, 0.1})
    candidates.push_back({.density = density});
  for (const double density : {0.75, 0.5, 0.25}) candidates.push_back({.block_density = density});
  const std::vector<double> predicted = sensitivity(parameter, weights, curvature, candidates);
  std::vector<double> measured;
  std::vector<LossJump> jumps;
  for (const WeightCandidate& candidate : candidates) {
    std::vector<float> stored = weights;
    (candidate.density < 1.0 ? kept_by_magnitude(weights, candidate.density)
                             : kept_blocks(parameter, weights, candidate.block_density))
        .apply(stored);
    measured.push_back(data.loss(stored) - data.loss(weights));
    jumps.push_back({predicted[measured.size() - 1], measured.back()});
  }
  EXPECT_GT(rank_correlation(predicted, measured), 0.9);
  const LossFactor factor = fit_loss_factor(jumps);
  EXPECT_GT(factor.factor, 0.5);
  EXPECT_LT(factor.factor, 2.0);
}

}  // namespace
}  // namespace coppice
