#include "kernels/sgd.h"

#include <algorithm>  // for min

#include "kernels/clones.h"

namespace coppice::kernels {
namespace {

// Of elements whose local gradient is `gradient`.
COPPICE_CLONES void descend(const SgdStep& step, const float* __restrict gradient, std::int64_t n,
                            float* __restrict weights) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float direction = step.clip_scale * gradient[i] + step.weight_decay * weights[i];
    weights[i] -= step.lr * direction;
  }
}

COPPICE_CLONES void descend_with_momentum(const SgdStep& step, const float* __restrict gradient,
                                          std::int64_t n, float* __restrict weights,
                                          float* __restrict velocity) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float direction = step.clip_scale * gradient[i] + step.weight_decay * weights[i];
    velocity[i] = step.momentum * velocity[i] + direction;
    weights[i] -= step.lr * velocity[i];
  }
}

void step_piece(const SgdStep& step, const LocalGradient& terms, std::int64_t begin,
                std::int64_t end) {
  const bool is_plain =
      terms.global == nullptr && terms.correction == nullptr && terms.mask == nullptr;
  float local[kPiece];
  if (!is_plain) local_gradient(terms, begin, end, local);
  const float* gradient = is_plain ? terms.gradient + (begin - terms.gradient_begin) : local;
  const std::int64_t n = end - begin;
  float* weights = step.weights + begin;
  float* velocity =
      step.velocity == nullptr ? nullptr : step.velocity + (begin - step.velocity_begin);
  if (velocity == nullptr) {
    descend(step, gradient, n, weights);
  } else {
    descend_with_momentum(step, gradient, n, weights, velocity);
  }
  if (terms.mask == nullptr) return;
  zero_masked(terms.mask, begin, end, weights);
  if (velocity != nullptr) zero_masked(terms.mask, begin, end, velocity);
}

}  // namespace

void sgd_step(const SgdStep& step, std::int64_t begin, std::int64_t end) {
  LocalGradient terms = step.terms;
  terms.weights = step.weights;
  for (std::int64_t first = begin; first < end; first += kPiece) {
    step_piece(step, terms, first, std::min(end, first + kPiece));
  }
}

}  // namespace coppice::kernels
