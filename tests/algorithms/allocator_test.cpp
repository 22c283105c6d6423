// Every allocator's contract, and what each must not do.
#include "algorithms/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "algorithms/sensitivity.h"
#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

// Bytes that grow with every weight kept and every bit: a position and a code each.
std::int64_t stored_bytes(std::span<const float> weights, const WeightCandidate& candidate) {
  const Mask mask = kept_by_magnitude(weights, candidate.density);
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < mask.size(); ++i)
    kept += mask.keeps(i) && weights[static_cast<std::size_t>(i)] != 0.0F ? 1 : 0;
  return 4 + (kept * (2 + candidate.bits) + 7) / 8;
}

// Three layers of other sizes and other magnitudes, one of them half masked.
class AllocatorTest : public testing::Test {
 protected:
  AllocatorTest() {
    const std::vector<std::pair<std::int64_t, double>> shapes = {{400, 1.0}, {90, 0.2}, {30, 4.0}};
    for (std::size_t t = 0; t < shapes.size(); ++t) {
      RandomStream stream({.client = static_cast<std::int64_t>(t)});
      std::vector<float>& values = weights_.emplace_back();
      for (std::int64_t i = 0; i < shapes[t].first; ++i)
        values.push_back(static_cast<float>(shapes[t].second * stream.next_normal()));
    }
    const Mask mask = kept_by_magnitude(weights_[0], 0.5);
    mask.apply(weights_[0]);
    for (const double density : {1.0, 0.6, 0.3, 0.1}) {
      for (const int bits : {2, 4, 8}) candidates_.push_back({.density = density, .bits = bits});
    }
    for (std::size_t t = 0; t < weights_.size(); ++t)
      tensors_.push_back({std::string(1, static_cast<char>('a' + t)), weights_[t]});
    of_each_.assign(weights_.size(), candidates_);
    tabulate();
  }

  // Curvature 1 everywhere: the squared weights that go, and a rounding error.
  void tabulate() {
    for (const AllocatedTensor& tensor : tensors_) {
      LayerCandidates& layer = costs_.emplace_back();
      for (const WeightCandidate& candidate : candidates_) {
        const Mask mask = kept_by_magnitude(tensor.weights, candidate.density);
        double loss = 0.0;
        for (std::size_t i = 0; i < tensor.weights.size(); ++i) {
          const double square = double{tensor.weights[i]} * double{tensor.weights[i]};
          const double step = std::ldexp(1.0, 2 - 2 * candidate.bits);
          loss += 0.5 * square * (mask.keeps(static_cast<std::int64_t>(i)) ? step : 1.0);
        }
        layer.push_back({.loss = loss, .bytes = stored_bytes(tensor.weights, candidate)});
      }
    }
  }

  AllocationProblem problem(std::int64_t max_bytes) const {
    return {.tensors = tensors_,
            .candidates = of_each_,
            .costs = costs_,
            .budget = {.bytes = max_bytes},
            .bytes = [this](std::size_t index, const WeightCandidate& candidate) {
              return stored_bytes(tensors_[index].weights, candidate);
            }};
  }
  Allotment allot(std::string_view name, std::int64_t max_bytes) const {
    return make_allocator(name)->allot(problem(max_bytes));
  }
  std::int64_t counted(const Allotment& allotment) const {
    std::int64_t out = 0;
    for (std::size_t t = 0; t < tensors_.size(); ++t)
      out += stored_bytes(tensors_[t].weights, allotment.candidates[t]);
    return out;
  }
  Mask kept(const Allotment& allotment, std::size_t tensor) const {
    return kept_by_magnitude(tensors_[tensor].weights, allotment.candidates[tensor].density);
  }

  std::vector<std::vector<float>> weights_;
  std::vector<WeightCandidate> candidates_;
  std::vector<std::vector<WeightCandidate>> of_each_;
  std::vector<AllocatedTensor> tensors_;
  std::vector<LayerCandidates> costs_;
};

// Every choice of a candidate for each of three layers.
template <typename Visit>
void visit_choices(std::span<const LayerCandidates> costs, const Visit& visit) {
  for (const Candidate& a : costs[0]) {
    for (const Candidate& b : costs[1]) {
      for (const Candidate& c : costs[2])
        visit(a.loss + b.loss + c.loss, a.bytes + b.bytes + c.bytes,
              a.microseconds + b.microseconds + c.microseconds);
    }
  }
}

// A time for each candidate, its own draw of each layer.
void time_by_chance(std::vector<LayerCandidates>& costs, std::int64_t draw) {
  RandomStream stream({.client = 77, .task = draw});
  for (LayerCandidates& layer : costs) {
    for (Candidate& candidate : layer)
      candidate.microseconds = 1.0 + 9.0 * stream.next_uniform_double();
  }
}

TEST_F(AllocatorTest, JointKeepsBothBudgetsWheneverThatIsPossible) {
  int met = 0, missed = 0, optimal = 0;
  for (std::int64_t draw = 0; draw < 60; ++draw) {
    time_by_chance(costs_, draw);
    const Budget budget{.bytes = 60 + 5 * (draw % 30), .microseconds = 4.0 + 0.3 * double(draw)};
    double best = std::numeric_limits<double>::infinity();
    visit_choices(costs_, [&](double loss, std::int64_t bytes, double us) {
      if (bytes <= *budget.bytes && us <= *budget.microseconds) best = std::min(best, loss);
    });
    AllocationProblem both = problem(0);
    both.budget = budget;
    const Allotment allotment = make_allocator("joint")->allot(both);
    ASSERT_EQ(allotment.fits, std::isfinite(best)) << draw;
    ++(allotment.fits ? met : missed);
    if (!allotment.fits) continue;
    EXPECT_LE(allotment.bytes, *budget.bytes) << draw;
    EXPECT_GE(*allotment.predicted_loss, best * (1 - 1e-12)) << draw;
    EXPECT_LE(*allotment.predicted_loss * (1 - allotment.gap.value()), best * (1 + 1e-12)) << draw;
    optimal += *allotment.predicted_loss <= best * (1 + 1e-12) ? 1 : 0;
  }
  EXPECT_GT(missed, 3);
  EXPECT_GT(met, 30);
  EXPECT_GE(optimal, met * 9 / 10);
}

TEST_F(AllocatorTest, JointTakesABudgetOfTimeAlone) {
  for (std::int64_t draw = 0; draw < 20; ++draw) {
    time_by_chance(costs_, draw);
    const double limit = 6.0 + double(draw);
    double best = std::numeric_limits<double>::infinity();
    visit_choices(costs_, [&](double loss, std::int64_t, double us) {
      if (us <= limit) best = std::min(best, loss);
    });
    AllocationProblem timed = problem(0);
    timed.budget = {.microseconds = limit};
    const Allotment allotment = make_allocator("joint")->allot(timed);
    ASSERT_EQ(allotment.fits, std::isfinite(best)) << draw;
    if (allotment.fits) {
      EXPECT_NEAR(*allotment.predicted_loss, best, 1e-9 + 0.05 * best) << draw;
    }
  }
}

TEST_F(AllocatorTest, BudgetsThatAMethodDoesNotKnowAreRefused) {
  for (const AllocatorInfo& info : known_allocators()) {
    const std::unique_ptr<Allocator> allocator = make_allocator(info.name);
    AllocationProblem timed = problem(100);
    timed.budget.microseconds = 5.0;
    EXPECT_EQ(allocator->knows_time(), info.name == "joint") << info.name;
    if (allocator->knows_time()) {
      EXPECT_NO_THROW(allocator->allot(timed));
    } else {
      EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocator->allot(timed); }),
                           "no budget of microseconds"))
          << info.name;
    }
    timed.budget = {};
    EXPECT_TRUE(
        contains(thrown_text<ConfigError>([&] { allocator->allot(timed); }), "expected a budget"))
        << info.name;
  }
}

TEST_F(AllocatorTest, EveryAllocatorFitsOrSaysThatItDoesNot) {
  for (const AllocatorInfo& info : known_allocators()) {
    EXPECT_FALSE(info.sentence.empty());
    std::int64_t before = 0;
    for (std::int64_t budget = 0; budget < 500; budget += 7) {
      const Allotment allotment = allot(info.name, budget);
      ASSERT_EQ(allotment.candidates.size(), tensors_.size()) << info.name;
      EXPECT_EQ(allotment.bytes, counted(allotment)) << info.name << ' ' << budget;
      EXPECT_EQ(allotment.fits, allotment.bytes <= budget) << info.name << ' ' << budget;
      EXPECT_TRUE(allotment.fits || !allot("joint", budget).fits) << info.name << ' ' << budget;
      EXPECT_TRUE(allotment.fits || before == 0) << info.name << ' ' << budget << ": fitted less";
      if (allotment.fits) before = allotment.bytes;
    }
    EXPECT_GT(before, 200) << info.name;
  }
}

TEST_F(AllocatorTest, EveryAllocatorUsesTheBitsOffered) {
  for (const AllocatorInfo& info : known_allocators()) {
    for (const WeightCandidate& candidate : allot(info.name, 120).candidates) {
      EXPECT_TRUE(std::ranges::count(candidates_, candidate.bits, &WeightCandidate::bits) > 0);
      EXPECT_GT(candidate.density, 0.0) << info.name;
      EXPECT_LE(candidate.density, 1.0) << info.name;
    }
  }
}

TEST_F(AllocatorTest, EveryAllocatorIsDeterministicAndLeavesTheWeightsAlone) {
  const std::vector<std::vector<float>> before = weights_;
  for (const AllocatorInfo& info : known_allocators()) {
    for (const std::int64_t budget : {20, 60, 120, 240}) {
      const Allotment one = allot(info.name, budget);
      const Allotment two = allot(info.name, budget);
      EXPECT_EQ(one.candidates, two.candidates) << info.name;
      EXPECT_EQ(one.bytes, two.bytes) << info.name;
    }
  }
  EXPECT_EQ(weights_, before);
}

TEST_F(AllocatorTest, WrongProblemsThrow) {
  for (const AllocatorInfo& info : known_allocators()) {
    const std::unique_ptr<Allocator> allocator = make_allocator(info.name);
    AllocationProblem wrong = problem(100);
    wrong.costs = wrong.costs.first(2);
    EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocator->allot(wrong); }),
                         "expected costs of 3 tensors, got 2"))
        << info.name;
    wrong = problem(100);
    for (std::vector<WeightCandidate>& candidates : of_each_) candidates.resize(5);
    EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocator->allot(wrong); }),
                         "a: expected costs of 5 candidates, got 12"))
        << info.name;
    of_each_.assign(2, candidates_);
    wrong.candidates = of_each_;
    EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocator->allot(wrong); }),
                         "expected candidates of 3 tensors, got 2"))
        << info.name;
    of_each_.assign(3, candidates_);
    EXPECT_THROW(allocator->allot({}), ConfigError) << info.name;
  }
  EXPECT_TRUE(contains(thrown_text<ConfigError>([] { make_allocator("unifrom"); }),
                       "did you mean 'uniform'"));
}

// A baseline that quietly differs between layers is no longer the baseline.
TEST_F(AllocatorTest, UniformNeverDiffersBetweenLayers) {
  for (std::int64_t budget = 0; budget < 500; budget += 3) {
    const Allotment allotment = allot("uniform", budget);
    for (const WeightCandidate& candidate : allotment.candidates)
      EXPECT_EQ(candidate, allotment.candidates.front()) << budget;
  }
}

// Bytes between two densities of the grid would go to waste, and the comparison with them.
TEST_F(AllocatorTest, UniformLeavesNoRoomForADensityOneHundredthLarger) {
  int between = 0;
  for (std::int64_t budget = 60; budget < 300; budget += 11) {
    const Allotment allotment = allot("uniform", budget);
    ASSERT_TRUE(allotment.fits) << budget;
    if (!allotment.predicted_loss) ++between;
    Allotment wider = allotment;
    for (WeightCandidate& candidate : wider.candidates)
      candidate.density = std::min(1.0, candidate.density + 0.01);
    EXPECT_TRUE(counted(wider) > budget || counted(wider) == allotment.bytes) << budget;
  }
  EXPECT_GT(between, 5);
}

// One threshold for all: a weight that goes is smaller than any that stays, whatever the tensor,
// but for the last one of a tensor.
TEST_F(AllocatorTest, MagnitudeHasOneThresholdForAllTensors) {
  for (const std::int64_t budget : {30, 60, 90, 150, 200}) {
    const Allotment allotment = allot("magnitude", budget);
    float largest_gone = 0.0F;
    float smallest_kept = std::numeric_limits<float>::max();
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      EXPECT_EQ(allotment.candidates[t].bits, 4);
      const Mask mask = kept(allotment, t);
      for (std::int64_t i = 0; i < mask.size(); ++i) {
        const float magnitude = std::abs(weights_[t][static_cast<std::size_t>(i)]);
        if (!mask.keeps(i)) largest_gone = std::max(largest_gone, magnitude);
        if (mask.keeps(i) && mask.kept() > 1) smallest_kept = std::min(smallest_kept, magnitude);
      }
    }
    EXPECT_LE(largest_gone, smallest_kept) << budget;
    EXPECT_GT(allotment.candidates[2].density, allotment.candidates[1].density) << budget;
  }
}

TEST_F(AllocatorTest, MagnitudeTakesMoreAwayForLessBytesAndGivesNothingBack) {
  EXPECT_LT(allot("magnitude", 75).bytes, allot("magnitude", 150).bytes);
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const Mask many = kept(allot("magnitude", 150), t);
    const Mask few = kept(allot("magnitude", 75), t);
    EXPECT_LE(few.kept(), many.kept());
    for (std::int64_t i = 0; i < few.size(); ++i)
      EXPECT_TRUE(!few.keeps(i) || many.keeps(i)) << t << ' ' << i;
  }
}

TEST_F(AllocatorTest, MagnitudeKeepsAsManyAsFit) {
  for (std::int64_t budget = 30; budget < 200; budget += 13) {
    const Allotment allotment = allot("magnitude", budget);
    ASSERT_TRUE(allotment.fits);
    EXPECT_LE(allotment.bytes, budget);
    EXPECT_GE(allotment.bytes, budget - 2) << "another weight would have fitted";
  }
}

TEST_F(AllocatorTest, MagnitudeTakesTheLargestBitsWhereFourAreNotOffered) {
  candidates_ = {{.density = 1.0, .bits = 2}, {.density = 1.0, .bits = 6}};
  of_each_.assign(weights_.size(), candidates_);
  costs_.clear();
  tabulate();
  for (const WeightCandidate& candidate : allot("magnitude", 100).candidates)
    EXPECT_EQ(candidate.bits, 6);
}

// The second tensor cannot be narrower: what it does not have is never chosen for it, however
// cheap it would be, and who knows no widths refuses.
TEST_F(AllocatorTest, ATensorGetsItsOwnCandidatesAlone) {
  for (const std::size_t narrow : {0U, 2U}) {
    of_each_[narrow].push_back({.bits = 8, .channels = 0.5});
    costs_[narrow].push_back({.loss = 0.0, .bytes = 1});
  }
  for (const AllocatorInfo& info : known_allocators()) {
    const std::unique_ptr<Allocator> allocator = make_allocator(info.name);
    if (!allocator->knows_widths()) {
      EXPECT_TRUE(contains(thrown_text<ConfigError>([&] { allocator->allot(problem(100)); }),
                           "b: expected the candidates of the first tensor"))
          << info.name;
      continue;
    }
    const Allotment allotment = allocator->allot(problem(100));
    ASSERT_TRUE(allotment.fits);
    EXPECT_EQ(allotment.candidates[0].channels, 0.5);
    EXPECT_EQ(allotment.candidates[1].channels, 1.0);
    EXPECT_EQ(allotment.candidates[2].channels, 0.5);
  }
}

// The knapsack may choose what the same candidate for all would be, so it never predicts a larger
// loss than that.
TEST_F(AllocatorTest, JointPredictsNoMoreThanAnyCandidateForAll) {
  for (std::int64_t budget = 60; budget < 400; budget += 9) {
    const Allotment allotment = allot("joint", budget);
    ASSERT_TRUE(allotment.fits && allotment.predicted_loss) << budget;
    EXPECT_EQ(allotment.gap, 0.0) << budget;  // fronts so short are never cut
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      std::int64_t bytes = 0;
      double loss = 0.0;
      for (const LayerCandidates& layer : costs_) {
        bytes += layer[c].bytes;
        loss += layer[c].loss;
      }
      EXPECT_TRUE(bytes > budget || *allotment.predicted_loss <= loss * (1 + 1e-12)) << budget;
    }
  }
}

// A layer of shape [out, in, ...] keeps a share in proportion to the sum of its sides over their
// product, and all of it where that is more.
TEST_F(AllocatorTest, RegrowthBeginsWithDensitiesOfTheShapesAlone) {
  tensors_[0].shape = {20, 20};      // 40 / 400 = 0.1
  tensors_[1].shape = {3, 5, 3, 2};  // 13 / 90 = 0.1444
  tensors_[2].shape = {15, 2};       // 17 / 30 = 0.5667
  for (const char* name : {"feddst", "fedrts"}) {
    const Allotment allotment = allot(name, 90);
    ASSERT_TRUE(allotment.fits) << name;
    const double scale = allotment.candidates[0].density / 0.1;
    EXPECT_LT(scale, 3.0) << name;
    EXPECT_NEAR(allotment.candidates[1].density, scale * 13.0 / 90.0, 1e-12) << name;
    EXPECT_NEAR(allotment.candidates[2].density, std::min(1.0, scale * 17.0 / 30.0), 1e-12) << name;
    EXPECT_GE(allotment.bytes, 88) << name << ": a weight more would have fitted";
    for (const WeightCandidate& candidate : allotment.candidates) EXPECT_EQ(candidate.bits, 4);
    const Allotment wide = allot(name, 250);
    EXPECT_EQ(wide.candidates[2].density, 1.0) << name;
    EXPECT_LT(wide.candidates[0].density, 1.0) << name;
  }
}

}  // namespace
}  // namespace coppice
