#pragma once
// The digits' training data in two parts for tests that learn: what is trained on and what choices
// of learning rates and lengths are judged on. The test split is touched by no test of learning.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/executor.h"
#include "tests/models/sample_arrays.h"

namespace coppice {

// Training images `indices`, every pixel drawn `scale` times in both directions and padded to
// `size`.
inline SampleArrays images(const Dataset& dataset, std::span<const std::int64_t> indices,
                           std::int64_t scale, std::int64_t size) {
  std::vector<float> small(indices.size() * 64);
  std::vector<std::int32_t> labels(indices.size());
  gather_samples(dataset, dataset.train, indices, small);
  gather_labels(dataset, dataset.train, indices, labels);
  const auto count = static_cast<std::int64_t>(indices.size());
  std::vector<float> large(static_cast<std::size_t>(count * size * size));
  const std::int64_t margin = (size - 8 * scale) / 2;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t y = 0; y < 8 * scale; ++y) {
      for (std::int64_t x = 0; x < 8 * scale; ++x) {
        large[static_cast<std::size_t>((i * size + y + margin) * size + x + margin)] =
            small[static_cast<std::size_t>(i * 64 + y / scale * 8 + x / scale)];
      }
    }
  }
  return {std::move(large), std::move(labels), size * size};
}

struct DigitsSplit {
  SampleArrays train;
  SampleArrays validation;  // a fifth, drawn at random
};

inline DigitsSplit digits(const Dataset& dataset, std::int64_t scale, std::int64_t size) {
  RandomStream stream({.purpose = Purpose::kGenerated, .task = 11});
  const std::vector<std::int64_t> order = random_permutation(dataset.train.size, stream);
  const std::span<const std::int64_t> all = order;
  const std::size_t held_out = all.size() / 5;
  return {.train = images(dataset, all.subspan(held_out), scale, size),
          .validation = images(dataset, all.first(held_out), scale, size)};
}

inline EvalResult evaluate_all(Executor& executor, const ModelView& model,
                               const SampleArrays& data) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(data.size()));
  std::iota(all.begin(), all.end(), 0);
  return executor.evaluate(model, data.source(), all);
}

inline double mean_loss(const EvalResult& result) {
  return result.loss_sum / static_cast<double>(result.labels);
}

inline double accuracy(const EvalResult& result) {
  return static_cast<double>(result.correct) / static_cast<double>(result.labels);
}

inline LocalPlan adamw(double lr, std::int64_t epochs, std::int64_t batch_size) {
  LocalPlan plan;
  plan.optimizer = {.kind = OptimizerKind::kAdamW, .lr = lr, .weight_decay = 0.05};
  plan.epochs = epochs;
  plan.batch_size = batch_size;
  return plan;
}

// Skips where the digits are not installed.
class DigitsFixture : public testing::Test {
 protected:
  void SetUp() override {
    DatasetRequest request;
    request.name = "digits";
    try {
      dataset_ = load_dataset(request);
    } catch (const DataError& error) {
      GTEST_SKIP() << error.what();
    }
    ASSERT_EQ(dataset_->train.size + dataset_->test.size, 1797);
    configure_process_for_training();
  }

  std::unique_ptr<const Dataset> dataset_;
};

}  // namespace coppice
