// Every pruner's contract, and how scores become ballots and ballots a choice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "algorithms/pruner.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "tests/core/thrown.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

LayerSpec layer(const char* op, const char* name, const Attributes& attributes = {}) {
  return {op, name, {}, attributes};
}

Graph network() {
  return Graph::build(
      numbers({1, 12, 12}),
      {layer("conv2d", "conv", {.out = 16, .kernel = {3, 3}}), layer("group_norm", "norm"),
       layer("relu", "relu1"), layer("flatten", "flatten"), layer("linear", "hidden", {.out = 30}),
       layer("relu", "relu2"), layer("linear", "out", {.out = 10})});
}

class PruningTest : public testing::Test {
 protected:
  std::vector<double> scores(std::string_view pruner, std::uint64_t seed) const {
    const std::vector<float> gradients = made_up_gradients(seed);
    return make_pruner(pruner)->scores(graph_, coupling_, initial_parameters(graph_, seed).values(),
                                       {gradients, 4});
  }
  // Of two batches, four arenas.
  std::vector<float> made_up_gradients(std::uint64_t seed) const {
    RandomStream stream({.seed = seed, .purpose = Purpose::kGenerated, .client = 1, .task = 1});
    std::vector<float> out(4 * static_cast<std::size_t>(graph_.parameter_count()));
    for (float& value : out) value = static_cast<float>(stream.next_normal());
    return out;
  }
  // What a loss that is linear, with this gradient, loses with the unit.
  double loss_with(std::span<const float> gradient, std::span<const float> weights,
                   std::size_t unit) const {
    std::vector<float> without(weights.begin(), weights.end());
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling_.unit_count), 1);
    keep[unit] = 0;
    zero_units(graph_, coupling_, keep, without);
    double change = 0.0;
    for (std::size_t i = 0; i < without.size(); ++i)
      change += double{gradient[i]} * (double{weights[i]} - double{without[i]});
    return change;
  }
  std::int64_t kept_in(std::span<const float> ballot, std::size_t group) const {
    std::int64_t count = 0;
    for (const int unit : coupling_.groups[group].units)
      count += ballot[static_cast<std::size_t>(unit)] != 0.0F ? 1 : 0;
    return count;
  }
  std::vector<std::int64_t> all_counts() const {
    std::vector<std::int64_t> counts;
    for (const CouplingGroup& group : coupling_.groups)
      counts.push_back(static_cast<std::int64_t>(group.units.size()));
    return counts;
  }
  // Parameters left when the first units of each group stay.
  std::int64_t parameters_with(std::span<const std::int64_t> counts) const {
    std::vector<double> falling(static_cast<std::size_t>(coupling_.unit_count));
    std::iota(falling.rbegin(), falling.rend(), 1.0);
    const std::vector<float> ballot = make_ballot(coupling_, falling, counts);
    const std::vector<std::uint8_t> keep(ballot.begin(), ballot.end());
    return kept_parameters(graph_, coupling_, keep);
  }

  Graph graph_ = network();
  Coupling coupling_ = couple(graph_);
};

TEST_F(PruningTest, EveryPrunerGivesOneFiniteScoreAUnitThatDependsOnTheWeights) {
  for (const PrunerInfo& info : known_pruners()) {
    EXPECT_FALSE(info.sentence.empty());
    const std::vector<double> one = scores(info.name, 1);
    EXPECT_EQ(static_cast<int>(one.size()), coupling_.unit_count) << info.name;
    EXPECT_TRUE(std::ranges::all_of(one, [](double s) { return std::isfinite(s) && s >= 0.0; }))
        << info.name;
    EXPECT_EQ(one, scores(info.name, 1)) << info.name;
    EXPECT_NE(one, scores(info.name, 2)) << info.name;
  }
  EXPECT_TRUE(contains(thrown_text<ConfigError>([] { make_pruner("magnitud"); }),
                       "did you mean 'magnitude'"));
}

TEST_F(PruningTest, GradientScoresAreWhatLinearLossesChangeBy) {
  const ParameterArena arena = initial_parameters(graph_, 5);
  const std::vector<float> gradients = made_up_gradients(5);
  const auto size = static_cast<std::size_t>(graph_.parameter_count());
  const auto part = [&](std::size_t i) { return std::span(gradients).subspan(i * size, size); };
  const auto of = [&](const char* name) {
    return make_pruner(name)->scores(graph_, coupling_, arena.values(), {gradients, 4});
  };
  const std::vector<double> taylor = of("taylor");
  const std::vector<double> fisher = of("fisher");
  for (std::size_t unit = 0; unit < taylor.size(); ++unit) {
    double squares = 0.0;
    double differences = 0.0;
    for (std::size_t batch = 0; batch < 2; ++batch) {
      const double first = loss_with(part(2 * batch), arena.values(), unit);
      const double second = loss_with(part(2 * batch + 1), arena.values(), unit);
      squares += first * first + second * second;
      differences += (first - second) * (first - second);
    }
    EXPECT_NEAR(taylor[unit], squares, 1e-4 * squares + 1e-12) << unit;
    EXPECT_NEAR(fisher[unit], differences, 1e-4 * differences + 1e-12) << unit;
  }
}

TEST_F(PruningTest, GradientsThatSayNothingScoreNothing) {
  const ParameterArena arena = initial_parameters(graph_, 5);
  std::vector<float> gradients = made_up_gradients(5);
  for (const char* name : {"taylor", "fisher"}) {
    const std::unique_ptr<Pruner> pruner = make_pruner(name);
    EXPECT_TRUE(pruner->needs_gradients());
    for (const double score : pruner->scores(graph_, coupling_, arena.values(), {}))
      EXPECT_EQ(score, 0.0);
    const std::span<const float> odd = std::span(gradients).first(gradients.size() - 1);
    EXPECT_TRUE(contains(thrown_text<ConfigError>([&] {
                           pruner->scores(graph_, coupling_, arena.values(), {odd, 4});
                         }),
                         "expected pairs of gradients"));
    std::vector<float> broken = gradients;
    std::ranges::fill(broken, std::numeric_limits<float>::quiet_NaN());
    for (const double score : pruner->scores(graph_, coupling_, arena.values(), {broken, 4}))
      EXPECT_EQ(score, 0.0);
  }
}

TEST_F(PruningTest, BallotKeepsExactlyTheCounts) {
  const std::vector<std::int64_t> counts =
      keep_counts(graph_, coupling_, graph_.parameter_count() / 3);
  for (const PrunerInfo& info : known_pruners()) {
    const std::vector<float> ballot = make_ballot(coupling_, scores(info.name, 1), counts);
    for (std::size_t g = 0; g < coupling_.groups.size(); ++g)
      EXPECT_EQ(kept_in(ballot, g), counts[g]) << info.name;
  }
}

TEST_F(PruningTest, BallotKeepsTheLargestScoresAndTheLowerUnitOfATie) {
  std::vector<std::int64_t> counts = all_counts();
  std::vector<double> scores(static_cast<std::size_t>(coupling_.unit_count), 1.0);
  std::size_t hidden = 0;
  while (coupling_.groups[hidden].name != "hidden") ++hidden;
  const std::vector<int>& units = coupling_.groups[hidden].units;
  counts[hidden] = 3;
  scores[static_cast<std::size_t>(units[20])] = 2.0;
  const std::vector<float> ballot = make_ballot(coupling_, scores, counts);
  for (std::size_t i = 0; i < units.size(); ++i) {
    EXPECT_EQ(ballot[static_cast<std::size_t>(units[i])], i == 20 || i < 2 ? 1.0F : 0.0F) << i;
  }
}

TEST_F(PruningTest, KeepCountsStayWithinTheLimitAndLeaveNoRoomForAnotherUnit) {
  const std::vector<std::int64_t> all = all_counts();
  std::int64_t before = 0;
  for (std::int64_t limit = 200; limit < graph_.parameter_count(); limit += 997) {
    std::vector<std::int64_t> counts = keep_counts(graph_, coupling_, limit);
    const std::int64_t kept = parameters_with(counts);
    EXPECT_GE(kept, before) << limit;
    before = kept;
    for (std::size_t g = 0; g < counts.size(); ++g) {
      EXPECT_GE(counts[g], 1);
      EXPECT_LE(counts[g], all[g]);
      if (!coupling_.groups[g].is_prunable) {
        EXPECT_EQ(counts[g], all[g]);
      } else if (kept > limit) {
        EXPECT_EQ(counts[g], 1) << limit;  // nothing smaller is possible
      } else if (counts[g] < all[g]) {
        ++counts[g];
        EXPECT_GT(parameters_with(counts), limit) << limit;
        --counts[g];
      }
    }
  }
}

TEST_F(PruningTest, KeepCountsKeepEverythingThatFits) {
  EXPECT_EQ(keep_counts(graph_, coupling_, graph_.parameter_count()), all_counts());
  EXPECT_EQ(keep_counts(graph_, coupling_, INT64_MAX), all_counts());
}

TEST_F(PruningTest, WidthsAreRoundedUpToAMultipleWithinTheLimit) {
  const std::vector<std::int64_t> all = all_counts();
  for (const std::int64_t multiple : {2, 8, 1000}) {
    for (std::int64_t limit = 200; limit < graph_.parameter_count(); limit += 997) {
      const std::vector<std::int64_t> counts = keep_counts(graph_, coupling_, limit, multiple);
      bool is_least = true;
      for (std::size_t g = 0; g < counts.size(); ++g) {
        const std::int64_t of_unit = coupling_.groups[g].name == "conv" ? 8 : 1;  // group norm
        const std::int64_t width = counts[g] * of_unit;
        EXPECT_TRUE(counts[g] == all[g] || width % multiple == 0) << width;
        if (coupling_.groups[g].is_prunable && width > std::max(multiple, of_unit))
          is_least = false;
      }
      EXPECT_TRUE(parameters_with(counts) <= limit || is_least) << limit;
    }
  }
  EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { keep_counts(graph_, coupling_, 1, 0); }),
                       "multiple of 1 or more, got 0"));
}

// Units of 8 channels of a group norm: a multiple of 16 channels are two of them.
TEST(WidthsTest, AMultipleIsOfChannelsNotOfUnits) {
  InputSpec input;
  input.shape = {1, 8, 8};
  const Graph graph = Graph::build(input, {{"conv2d", "wide", {}, {.out = 64, .kernel = {3, 3}}},
                                           {"group_norm", "", {}, {.group_size = 8}},
                                           {"conv2d", "narrow", {}, {.out = 10, .kernel = {3, 3}}},
                                           {"flatten", "", {}, {}},
                                           {"linear", "logits", {}, {.out = 3}}});
  const Coupling coupling = couple(graph);
  const auto count = [&](const std::string& group, std::int64_t multiple) {
    const auto counts = keep_counts(graph, coupling, graph.parameter_count() / 2, multiple);
    for (std::size_t g = 0; g < counts.size(); ++g) {
      if (coupling.groups[g].name == group) return counts[g];
    }
    return std::int64_t{-1};
  };
  EXPECT_EQ(count("wide", 8) % 1, 0);
  EXPECT_LT(count("wide", 8), 8);
  EXPECT_EQ(count("wide", 16) % 2, 0);
  EXPECT_LT(count("wide", 16), 8);
  EXPECT_TRUE(count("narrow", 8) == 8 || count("narrow", 8) == 10);
  EXPECT_EQ(count("narrow", 16), 10);  // narrower than the multiple
}

class VotesTest : public testing::Test {
 protected:
  // What stays of the 4 hidden units when `count` may.
  std::vector<int> winners(const std::vector<std::int64_t>& votes,
                           const std::vector<double>& scores, std::int64_t count) {
    std::vector<std::int64_t> all_votes(static_cast<std::size_t>(coupling_.unit_count));
    std::vector<double> all_scores(all_votes.size());
    std::vector<std::int64_t> counts;
    for (const CouplingGroup& group : coupling_.groups)
      counts.push_back(group.is_prunable ? count : static_cast<std::int64_t>(group.units.size()));
    const std::vector<int>& units =
        coupling_.groups[static_cast<std::size_t>(coupling_.prunable_groups().at(0))].units;
    for (std::size_t i = 0; i < units.size(); ++i) {
      all_votes[static_cast<std::size_t>(units[i])] = votes[i];
      all_scores[static_cast<std::size_t>(units[i])] = scores[i];
    }
    const std::vector<std::uint8_t> keep = count_votes(coupling_, all_votes, all_scores, counts);
    std::vector<int> out;
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (keep[static_cast<std::size_t>(units[i])] != 0) out.push_back(static_cast<int>(i));
    }
    return out;
  }

  Coupling coupling_ = couple(Graph::build(
      numbers({3}), {layer("linear", "a", {.out = 4}), layer("linear", "b", {.out = 2})}));
};

TEST_F(VotesTest, MajorityWinsWhateverTheScores) {
  EXPECT_EQ(winners({10, 700, 20, 699}, {9, 0, 9, 0}, 2), (std::vector{1, 3}));
}

TEST_F(VotesTest, TiesGoToTheLargerScoreThenToTheLowerUnit) {
  EXPECT_EQ(winners({5, 5, 5, 5}, {1, 3, 2, 0}, 2), (std::vector{1, 2}));
  EXPECT_EQ(winners({5, 5, 5, 5}, {1, 1, 1, 1}, 2), (std::vector{0, 1}));
  EXPECT_EQ(winners({0, 0, 0, 1}, {9, 8, 7, 0}, 2), (std::vector{0, 3}));
}

TEST_F(VotesTest, ChoicesOfTheWrongSizeThrow) {
  const std::vector<std::int64_t> votes(static_cast<std::size_t>(coupling_.unit_count));
  const std::vector<double> scores(votes.size());
  const std::vector<std::int64_t> counts(coupling_.groups.size(), 1);
  EXPECT_NO_THROW(count_votes(coupling_, votes, scores, counts));
  EXPECT_THROW(count_votes(coupling_, std::span(votes).first(2), scores, counts), ConfigError);
  EXPECT_THROW(count_votes(coupling_, votes, std::span(scores).first(2), counts), ConfigError);
  EXPECT_THROW(make_ballot(coupling_, scores, std::span(counts).first(1)), ConfigError);
}

TEST(CubicScheduleTest, RunsFromOneToTheTargetAndFallsFastestFirst) {
  EXPECT_EQ(cubic_keep_fraction(0.3, 0, 4), 1.0);
  EXPECT_EQ(cubic_keep_fraction(0.3, 4, 4), 0.3);
  EXPECT_EQ(cubic_keep_fraction(0.3, 9, 4), 0.3);
  EXPECT_DOUBLE_EQ(cubic_keep_fraction(0.2, 1, 2), 0.2 + 0.8 / 8.0);
  double step = 1.0;
  for (std::int64_t done = 1; done <= 4; ++done) {
    const double now = cubic_keep_fraction(0.3, done - 1, 4) - cubic_keep_fraction(0.3, done, 4);
    EXPECT_GT(now, 0.0);
    EXPECT_LT(now, step);
    step = now;
  }
}

}  // namespace
}  // namespace coppice
