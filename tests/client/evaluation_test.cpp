#include "client/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "core/parameter_arena.h"
#include "tests/client/tiny_data.h"
#include "tests/models/input_specs.h"

namespace coppice {
namespace {

class EvaluationTest : public testing::Test {
 protected:
  EvalSums evaluate(const EvalShare& share) {
    const std::vector<std::int64_t> indices = all_indices(dataset_.test);
    return evaluate_share(*executor_, {parameters_.values()}, dataset_, dataset_.test, indices,
                          share);
  }

  Graph graph_ =
      Graph::build(numbers({kTinyFeatures}), {{"linear", "out", {}, {.out = kTinyClasses}}});
  std::unique_ptr<Executor> executor_ = make_executor("libtorch", graph_);
  ParameterArena parameters_ = initial_parameters(graph_, 1);
  Dataset dataset_ = tiny_dataset();
};

TEST_F(EvaluationTest, RanksTogetherFindWhatOneFinds) {
  const EvalSums whole = evaluate({.batch_size = 4});
  EXPECT_EQ(whole.labels, 23);
  for (const int ranks : {2, 3, 5, 9}) {  // 6 batches: some ranks have none
    EvalSums together;
    for (int rank = ranks - 1; rank >= 0; --rank)
      together += evaluate({.batch_size = 4, .rank = rank, .ranks = ranks});
    EXPECT_EQ(together, whole) << ranks;
  }
}

TEST_F(EvaluationTest, BatchSizeDoesNotChangeWhatIsCorrect) {
  const EvalSums one = evaluate({.batch_size = 1});
  const EvalSums all = evaluate({.batch_size = 1000});
  EXPECT_EQ(one.correct, all.correct);
  EXPECT_EQ(one.labels, all.labels);
  EXPECT_NEAR(one.loss(), all.loss(), 1e-5);
}

TEST_F(EvaluationTest, PerfectModelIsRightOnEverything) {
  dataset_.test.float32s.assign(dataset_.test.float32s.size(), 0.0F);
  for (std::int64_t i = 0; i < dataset_.test.size; ++i) {
    const auto label = static_cast<std::int64_t>(dataset_.test.labels[static_cast<std::size_t>(i)]);
    dataset_.test.float32s[static_cast<std::size_t>(i * kTinyFeatures + label)] = 1.0F;
  }
  std::ranges::fill(parameters_.values(), 0.0F);
  for (std::int64_t c = 0; c < kTinyClasses; ++c)
    parameters_.values()[static_cast<std::size_t>(c * kTinyFeatures + c)] = 50.0F;
  const EvalSums sums = evaluate({.batch_size = 5});
  EXPECT_EQ(sums.accuracy(), 1.0);
  EXPECT_NEAR(sums.loss(), 0.0, 1e-6);
}

TEST_F(EvaluationTest, BatchesWithoutAFiniteLossAreCountedApart) {
  dataset_.test.float32s[0] = std::numeric_limits<float>::quiet_NaN();
  const EvalSums sums = evaluate({.batch_size = 4});
  EXPECT_EQ(sums.labels, 23);
  EXPECT_EQ(sums.not_finite, 4);
  EXPECT_GT(sums.loss(), 0.0);
}

TEST_F(EvaluationTest, ValidationIsEveryClientsOwn) {
  EXPECT_EQ(validation_indices(tiny_partition()),
            (std::vector<std::int64_t>{8, 9, 18, 19, 28, 29, 38, 39, 48, 49}));
  EXPECT_EQ(all_indices(tiny_split(3, 1)), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_TRUE(all_indices(Split()).empty());
}

}  // namespace
}  // namespace coppice
