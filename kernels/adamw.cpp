#include "kernels/adamw.h"

#include <algorithm>  // for min
#include <cmath>      // for pow, sqrt

namespace coppice::kernels {
namespace {

// The step's constants, computed once in double.
struct Factors {
  float beta1, rest1, beta2, rest2, decay, lr, deviation_scale, epsilon;

  explicit Factors(const AdamWStep& step)
      : beta1(static_cast<float>(step.beta1)),
        rest1(static_cast<float>(1.0 - step.beta1)),
        beta2(static_cast<float>(step.beta2)),
        rest2(static_cast<float>(1.0 - step.beta2)),
        decay(static_cast<float>(1.0 - step.lr * step.weight_decay)),
        lr(static_cast<float>(step.lr / (1.0 - std::pow(step.beta1, static_cast<double>(step.t))))),
        deviation_scale(static_cast<float>(
            1.0 / std::sqrt(1.0 - std::pow(step.beta2, static_cast<double>(step.t))))),
        epsilon(static_cast<float>(step.epsilon)) {}
};

void step_piece(const AdamWStep& step, const LocalGradient& terms, const Factors& f,
                std::int64_t begin, std::int64_t end) {
  float direction[kPiece];
  local_gradient(terms, begin, end, direction);
  const std::int64_t n = end - begin;
  float* weights = step.weights + begin;
  float* first = step.first_moment + (begin - step.moments_begin);
  float* second = step.second_moment + (begin - step.moments_begin);
  for (std::int64_t i = 0; i < n; ++i) {
    const float d = step.clip_scale * direction[i];
    first[i] = f.beta1 * first[i] + f.rest1 * d;
    second[i] = f.beta2 * second[i] + f.rest2 * d * d;
    weights[i] = f.decay * weights[i] -
                 f.lr * first[i] / (std::sqrt(second[i]) * f.deviation_scale + f.epsilon);
  }
  if (terms.mask != nullptr) zero_masked(terms.mask, begin, end, weights);
}

}  // namespace

void adamw_step(const AdamWStep& step, std::int64_t begin, std::int64_t end) {
  LocalGradient terms = step.terms;
  terms.weights = step.weights;
  const Factors factors(step);
  for (std::int64_t first = begin; first < end; first += kPiece) {
    step_piece(step, terms, factors, first, std::min(end, first + kPiece));
  }
}

}  // namespace coppice::kernels
