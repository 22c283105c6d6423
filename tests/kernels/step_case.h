#pragma once
// Random arrays for the optimizer passes, at a chosen length and misalignment, and the lengths
// every kernel is tried at.

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/local_gradient.h"

namespace coppice::kernels {

inline constexpr std::int64_t kLengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 511, 512, 513, 1000};
inline constexpr std::int64_t kMisalignments[] = {0, 1, 3};

// n floats that begin `misalignment` floats into their allocation.
class Array {
 public:
  Array(std::int64_t n, std::int64_t misalignment, unsigned seed, float low = -1.0F,
        float high = 1.0F)
      : values_(static_cast<std::size_t>(n + misalignment)), misalignment_(misalignment) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(low, high);
    for (std::int64_t i = 0; i < n; ++i) data()[i] = uniform(generator);
  }
  float* data() { return values_.data() + misalignment_; }
  float operator[](std::int64_t i) const {
    return values_[static_cast<std::size_t>(i + misalignment_)];
  }

 private:
  std::vector<float> values_;
  std::int64_t misalignment_;
};

// One combination of terms. Arrays that a case does not use exist, but are not passed.
struct StepCase {
  bool has_prox = false;
  bool has_correction = false;
  bool has_mask = false;
  float clip_scale = 1.0F;
  float weight_decay = 0.0F;
};

inline constexpr StepCase kCases[] = {
    {},
    {.has_prox = true},
    {.has_correction = true, .weight_decay = 0.1F},
    {.has_mask = true, .clip_scale = 0.3F},
    {.has_prox = true,
     .has_correction = true,
     .has_mask = true,
     .clip_scale = 0.7F,
     .weight_decay = 0.01F},
};

struct StepArrays {
  StepArrays(std::int64_t n, std::int64_t misalignment)
      : weights(n, misalignment, 1),
        gradient(n, misalignment, 2),
        global(n, misalignment, 3),
        correction(n, misalignment, 4),
        first(n, misalignment, 5),
        second(n, misalignment, 6, 0.0F, 1.0F),
        mask(static_cast<std::size_t>(n / 64 + 1)) {
    std::mt19937_64 generator(7);
    for (std::uint64_t& word : mask) word = generator();
  }

  LocalGradient terms(const StepCase& step_case) {
    return {.gradient = gradient.data(),
            .weights = weights.data(),
            .global = step_case.has_prox ? global.data() : nullptr,
            .correction = step_case.has_correction ? correction.data() : nullptr,
            .mask = step_case.has_mask ? mask.data() : nullptr,
            .prox_mu = 0.25F};
  }

  // The naive definition, in double.
  bool keeps(const StepCase& step_case, std::int64_t i) const {
    return !step_case.has_mask || ((mask[static_cast<std::size_t>(i / 64)] >> (i % 64)) & 1U) != 0;
  }
  double local_gradient(const StepCase& step_case, std::int64_t i) const {
    if (!keeps(step_case, i)) return 0.0;
    double g = static_cast<double>(gradient[i]);
    if (step_case.has_prox)
      g += 0.25 * (static_cast<double>(weights[i]) - static_cast<double>(global[i]));
    if (step_case.has_correction) g += static_cast<double>(correction[i]);
    return g;
  }

  Array weights, gradient, global, correction, first, second;
  std::vector<std::uint64_t> mask;
};

}  // namespace coppice::kernels
