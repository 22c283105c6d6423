// What a client finds out about its own loss.
#include "client/sensing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/sensitivity.h"
#include "client/local_clients.h"
#include "core/error.h"
#include "core/parameter_arena.h"
#include "tests/client/tiny_data.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

constexpr std::int64_t kSamples = 4096;

SenseRequest asking(std::int64_t batches, std::int64_t half_batch) {
  SenseRequest request;
  request.batches = batches;
  request.half_batch = half_batch;
  return request;
}

Graph softmax_regression() {
  return Graph::build(numbers({kTinyFeatures}), {{"linear", "out", {}, {.out = kTinyClasses}}});
}

SampleSource source_of(const Split& split) {
  return {.size = split.size,
          .samples =
              [&split](std::span<const std::int64_t> indices, std::span<float> out) {
                for (std::size_t i = 0; i < indices.size(); ++i) {
                  const auto from = split.float32s.begin() + indices[i] * kTinyFeatures;
                  std::copy_n(from, kTinyFeatures,
                              out.begin() + static_cast<std::ptrdiff_t>(i) * kTinyFeatures);
                }
              },
          .labels =
              [&split](std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
                for (std::size_t i = 0; i < indices.size(); ++i)
                  out[i] = split.labels[static_cast<std::size_t>(indices[i])];
              }};
}

// Variance over all samples of each weight's gradient: (softmax - label)_c x_f. A sample counts as
// its class does.
std::vector<double> gradient_variances(const Split& split, std::span<const float> parameters,
                                       const std::vector<double>& class_counts = {1, 1, 1}) {
  const auto size = static_cast<std::size_t>(kTinyClasses * kTinyFeatures);
  std::vector<double> sums(size), squares(size);
  double n = 0.0;
  for (std::int64_t s = 0; s < split.size; ++s) {
    const double count =
        class_counts[static_cast<std::size_t>(split.labels[static_cast<std::size_t>(s)])];
    n += count;
    const float* x = split.float32s.data() + s * kTinyFeatures;
    std::vector<double> p(kTinyClasses);
    for (std::size_t c = 0; c < kTinyClasses; ++c) {
      double logit = parameters[size + c];
      for (std::size_t f = 0; f < kTinyFeatures; ++f)
        logit += double{parameters[c * kTinyFeatures + f]} * double{x[f]};
      p[c] = std::exp(logit);
    }
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (std::size_t c = 0; c < kTinyClasses; ++c) {
      const bool is_label = split.labels[static_cast<std::size_t>(s)] == static_cast<int>(c);
      for (std::size_t f = 0; f < kTinyFeatures; ++f) {
        const double g = (p[c] / total - (is_label ? 1.0 : 0.0)) * double{x[f]};
        sums[c * kTinyFeatures + f] += count * g;
        squares[c * kTinyFeatures + f] += count * g * g;
      }
    }
  }
  for (std::size_t i = 0; i < size; ++i) squares[i] = squares[i] / n - sums[i] * sums[i] / (n * n);
  return squares;
}

class SensingTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<float> curvature(const SenseRequest& request, std::int64_t client = 0) {
    return estimate_curvature(*executor_, {global_.values()}, source_of(split_), request,
                              {.seed = 5, .client = client, .round = 2});
  }

  Split split_ = tiny_split(kSamples, 3);
  Graph graph_ = softmax_regression();
  ParameterArena global_ = initial_parameters(graph_, 1);
  std::unique_ptr<Executor> executor_ = make_executor(GetParam(), graph_);
};

TEST_P(SensingTest, CurvatureIsTheVarianceOfASamplesGradient) {
  const std::vector<double> expected = gradient_variances(split_, global_.values());
  const std::vector<float> found = curvature(asking(256, 8));
  // A mean over 256 pairs of squares of a nearly normal value has a relative deviation of
  // sqrt(2 / 256) = 0.09.
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found[i] / expected[i], 1.0, 0.4) << i;
  const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
  const auto weights = static_cast<std::ptrdiff_t>(expected.size());
  EXPECT_NEAR(std::accumulate(found.begin(), found.begin() + weights, 0.0) / sum, 1.0, 0.08);
}

TEST_P(SensingTest, DependsOnTheDrawAloneAndHalvesAreDisjoint) {
  const SenseRequest request = asking(3, 8);
  EXPECT_EQ(curvature(request), curvature(request));
  EXPECT_NE(curvature(request), curvature(request, 1));
}

// The first class nine times as often as the others.
Split skewed(const Split& split) {
  Split out;
  for (std::int64_t s = 0; s < split.size; ++s) {
    const std::int32_t label = split.labels[static_cast<std::size_t>(s)];
    if (label != 0 && s % 9 != 0) continue;
    const auto from = split.float32s.begin() + s * kTinyFeatures;
    out.float32s.insert(out.float32s.end(), from, from + kTinyFeatures);
    out.labels.push_back(label);
    ++out.size;
  }
  return out;
}

TEST_P(SensingTest, BalancedHalvesEstimateTheVarianceUnderTheMixOfAllClients) {
  split_ = skewed(split_);
  std::vector<double> counts(kTinyClasses);
  for (const std::int32_t label : split_.labels) ++counts[static_cast<std::size_t>(label)];
  ASSERT_GT(counts[0], 5 * counts[1]);
  std::vector<double> weights;
  weights.reserve(counts.size());
  for (const double count : counts) weights.push_back(1.0 / count);  // within the bound of 10
  const std::vector<double> expected = gradient_variances(split_, global_.values(), weights);
  const std::vector<double> as_they_come = gradient_variances(split_, global_.values());
  SenseRequest request = asking(256, 2);
  request.class_counts = {500, 500, 500};
  const std::vector<float> found = curvature(request);
  double sum = 0.0, other = 0.0, all = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    sum += expected[i];
    other += as_they_come[i];
    all += double{found[i]};
  }
  EXPECT_GT(std::abs(other / sum - 1.0), 0.2) << "the mix makes no difference";
  EXPECT_NEAR(all / sum, 1.0, 0.1);
  EXPECT_EQ(found, curvature(request));
  request.class_counts = {500, 500};
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { curvature(request); }),
                       "expected labels below 2, got 2"));
}

TEST_P(SensingTest, FewSamplesGiveSmallerBatchesAndNoneGivesZeros) {
  split_ = tiny_split(5, 3);
  const std::vector<float> few = curvature(asking(16, 32));
  EXPECT_GT(*std::ranges::max_element(few), 0.0F);
  split_ = tiny_split(1, 3);
  EXPECT_EQ(curvature({}), std::vector<float>(few.size(), 0.0F));
}

// 1/2 E (g . change)^2 of the centred gradients of all samples.
double bend_of_all(const Split& split, std::span<const float> parameters,
                   std::span<const float> change) {
  double sum = 0.0, squares = 0.0;
  for (std::int64_t s = 0; s < split.size; ++s) {
    const float* x = split.float32s.data() + s * kTinyFeatures;
    std::vector<double> p(kTinyClasses);
    for (std::size_t c = 0; c < kTinyClasses; ++c) {
      double logit = parameters[kTinyClasses * kTinyFeatures + c];
      for (std::size_t f = 0; f < kTinyFeatures; ++f)
        logit += double{parameters[c * kTinyFeatures + f]} * double{x[f]};
      p[c] = std::exp(logit);
    }
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    double along = 0.0;
    for (std::size_t c = 0; c < kTinyClasses; ++c) {
      const bool is_label = split.labels[static_cast<std::size_t>(s)] == static_cast<int>(c);
      for (std::size_t f = 0; f < kTinyFeatures; ++f)
        along += (p[c] / total - (is_label ? 1.0 : 0.0)) * double{x[f]} *
                 double{change[c * kTinyFeatures + f]};
    }
    sum += along;
    squares += along * along;
  }
  const auto n = static_cast<double>(split.size);
  return 0.5 * (squares / n - sum * sum / (n * n));
}

TEST_P(SensingTest, TableIsTheCovarianceAlongEachCandidatesChange) {
  SenseRequest request = asking(256, 8);
  request.parameters = {"out.weight"};
  request.candidates = {{.density = 1.0, .bits = 32},
                        {.density = 0.5, .bits = 8},
                        {.density = 0.2, .bits = 2},
                        {.block_density = 0.5, .bits = 4}};
  const CandidateChanges changes(graph_, global_.values(), request);
  const std::vector<float> table =
      estimate_sensitivities(*executor_, {global_.values()}, source_of(split_), request, changes,
                             {.seed = 5, .client = 0, .round = 2});
  ASSERT_EQ(table.size(), 4U);
  EXPECT_EQ(table[0], 0.0F);  // fp32 and nothing pruned
  const ParameterSpec& weight = graph_.parameters()[0];
  const auto values = global_.values().first(static_cast<std::size_t>(weight.size()));
  candidate_changes(weight, values, request.candidates,
                    [&](std::size_t candidate, std::span<const float> change) {
                      if (candidate == 0) return;
                      const double expected = bend_of_all(split_, global_.values(), change);
                      // The relative deviation of 256 squares again.
                      EXPECT_NEAR(table[candidate] / expected, 1.0, 0.35) << candidate;
                    });
}

// Along the rows that go; the output's channels cannot go, and have no loss for it.
TEST_P(SensingTest, AWidthsTableIsAlongTheChannelsThatGo) {
  const Graph graph = Graph::build(
      numbers({kTinyFeatures}),
      {{"linear", "hidden", {}, {.out = 6}}, {"linear", "out", {}, {.out = kTinyClasses}}});
  const ParameterArena arena = initial_parameters(graph, 7);
  SenseRequest request = asking(4, 8);
  request.parameters = {"hidden.weight", "out.weight"};
  request.candidates = {{.bits = 8}, {.bits = 32, .channels = 0.5}};
  const CandidateChanges changes(graph, arena.values(), request);
  std::vector<float> difference(static_cast<std::size_t>(graph.parameter_count()));
  for (std::size_t i = 0; i < difference.size(); ++i)
    difference[i] = 0.1F * static_cast<float>(i % 7) - 0.2F;
  std::vector<double> table(4);
  changes.add(difference, 8, table);
  const KeptChannels kept = ChannelWidths(graph, arena.values()).kept("hidden.weight", 0.5).value();
  ASSERT_EQ(kept.size(), 3U);
  double along = 0.0;
  for (std::int64_t i = 0; i < 6 * kTinyFeatures; ++i) {
    if (std::ranges::find(kept, i / kTinyFeatures) != kept.end()) continue;
    const auto at = static_cast<std::size_t>(i);
    along -= double{arena.values()[at]} * double{difference[at]};
  }
  EXPECT_NEAR(table[1], 8.0 / 4.0 * along * along, 1e-6);  // bend_along()
  EXPECT_GT(table[1], table[0]);
  EXPECT_GT(table[2], 0.0);
  EXPECT_EQ(table[3], 0.0);
}

TEST_P(SensingTest, TableOfTooFewSamplesIsZero) {
  split_ = tiny_split(1, 3);
  SenseRequest request = asking(4, 8);
  request.parameters = {"out.weight"};
  request.candidates = {{.density = 0.5, .bits = 8}};
  const CandidateChanges changes(graph_, global_.values(), request);
  EXPECT_EQ(estimate_sensitivities(*executor_, {global_.values()}, source_of(split_), request,
                                   changes, {}),
            std::vector<float>{0.0F});
}

INSTANTIATE_TEST_SUITE_P(Executors, SensingTest, ::testing::Values("libtorch", "resident"));

}  // namespace
}  // namespace coppice
