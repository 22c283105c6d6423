#include "models/libtorch/distillation.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/random.h"
#include "tests/models/libtorch/double_graph.h"

namespace coppice::libtorch {
namespace {

at::Tensor matrix(const std::vector<double>& values, std::int64_t rows) {
  return at::tensor(values, at::kDouble).reshape({rows, -1});
}

void expect_differences(const std::function<LossGradient(const at::Tensor&)>& loss,
                        const at::Tensor& student) {
  constexpr double kStep = 1e-6;
  const at::Tensor gradient = loss(student).gradient.contiguous();
  ASSERT_EQ(gradient.sizes(), student.sizes());
  for (std::int64_t i = 0; i < student.numel(); ++i) {
    const auto loss_at = [&](double step) {
      at::Tensor moved = student.clone();
      moved.mutable_data_ptr<double>()[i] += step;
      return loss(moved).loss;
    };
    EXPECT_NEAR(gradient.const_data_ptr<double>()[i],
                (loss_at(kStep) - loss_at(-kStep)) / (2.0 * kStep), 1e-8)
        << i;
  }
}

TEST(DistillationTest, LossAndGradientAreTheClosedForm) {
  const double temperature = 3.0;
  // Row 0: p = (3/4, 1/4), q = (1/2, 1/2). Row 1: equal up to a constant, no divergence.
  const at::Tensor teacher = matrix({temperature * std::log(3.0), 0.0, 1.0, 2.0}, 2);
  const at::Tensor student = matrix({5.0, 5.0, 3.0, 4.0}, 2);
  const LossGradient got = distillation(student, teacher, temperature);
  const double divergence = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(got.loss, 9.0 * divergence / 2.0, 1e-12);
  const std::vector<double> expected = {3.0 / 2.0 * (0.5 - 0.75), 3.0 / 2.0 * (0.5 - 0.25), 0, 0};
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(got.gradient.const_data_ptr<double>()[i], expected[static_cast<std::size_t>(i)],
                1e-12);
  }
}

TEST(DistillationTest, GradientEqualsDifferences) {
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 3});
  const at::Tensor student = DoubleGraph::random_tensor({3, 4}, stream).mul(3.0);
  const at::Tensor teacher = DoubleGraph::random_tensor({3, 4}, stream).mul(3.0);
  for (const double temperature : {0.5, 1.0, 4.0}) {
    expect_differences([&](const at::Tensor& x) { return distillation(x, teacher, temperature); },
                       student);
  }
}

TEST(DistillationTest, CertainTeacherIsTheCrossEntropyOfItsClass) {
  const at::Tensor teacher = matrix({1000.0, 0.0}, 1);
  const LossGradient got = distillation(matrix({0.0, 0.0}, 1), teacher, 1.0);
  EXPECT_NEAR(got.loss, std::log(2.0), 1e-12);
}

TEST(SimilarityPreservingTest, LossIsTheClosedForm) {
  // Of (1, 0), (1, 1): products (1, 1), (1, 2), rows (1, 1)/sqrt 2 and (1, 2)/sqrt 5. The teacher's
  // samples are orthogonal: the identity, whatever their lengths.
  const at::Tensor student = matrix({1, 0, 1, 1}, 2);
  const at::Tensor teacher = matrix({0, 3, 0, 5, 0, 0}, 2);
  const double root2 = std::sqrt(0.5);
  const double root5 = std::sqrt(0.2);
  const double expected =
      ((root2 - 1.0) * (root2 - 1.0) + 0.5 + 0.2 + (2.0 * root5 - 1.0) * (2.0 * root5 - 1.0)) / 4.0;
  EXPECT_NEAR(similarity_preserving(student, teacher).loss, expected, 1e-12);
}

TEST(SimilarityPreservingTest, GradientEqualsDifferences) {
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 4});
  const at::Tensor student = DoubleGraph::random_tensor({4, 2, 3}, stream);
  const at::Tensor teacher = DoubleGraph::random_tensor({4, 5}, stream);
  expect_differences([&](const at::Tensor& x) { return similarity_preserving(x, teacher); },
                     student);
}

TEST(SimilarityPreservingTest, ScaledFeaturesAndOneSampleAreNoDistance) {
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 5});
  const at::Tensor features = DoubleGraph::random_tensor({4, 6}, stream);
  EXPECT_NEAR(similarity_preserving(features, features.mul(7.0)).loss, 0.0, 1e-15);
  const LossGradient one = similarity_preserving(features.narrow(0, 0, 1), matrix({-2.0}, 1));
  EXPECT_NEAR(one.loss, 0.0, 1e-15);
  EXPECT_NEAR(one.gradient.abs().max().item<double>(), 0.0, 1e-15);
}

TEST(SimilarityPreservingTest, SampleWithoutFeaturesGivesAndGetsNoGradientOfItsOwn) {
  const at::Tensor teacher = matrix({1, 2, 3, 1, 2, 2}, 3);
  const LossGradient got = similarity_preserving(matrix({0, 0, 1, 2, 2, 1}, 3), teacher);
  EXPECT_TRUE(std::isfinite(got.loss));
  EXPECT_LT(got.gradient.abs().max().item<double>(), 10.0);
}

}  // namespace
}  // namespace coppice::libtorch
