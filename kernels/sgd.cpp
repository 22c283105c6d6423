#include "kernels/sgd.h"

#include <algorithm>  // for min

#include "kernels/clones.h"

namespace coppice::kernels {
namespace {

void step_piece(const SgdStep& step, const LocalGradient& terms, std::int64_t begin,
                std::int64_t end) {
  float direction[kPiece];
  local_gradient(terms, begin, end, direction);
  const std::int64_t n = end - begin;
  float* weights = step.weights + begin;
  for (std::int64_t i = 0; i < n; ++i)
    direction[i] = step.clip_scale * direction[i] + step.weight_decay * weights[i];
  if (step.velocity != nullptr) {
    float* velocity = step.velocity + begin;
    for (std::int64_t i = 0; i < n; ++i) {
      velocity[i] = step.momentum * velocity[i] + direction[i];
      direction[i] = velocity[i];
    }
    if (terms.mask != nullptr) zero_masked(terms.mask, begin, end, velocity);
  }
  for (std::int64_t i = 0; i < n; ++i) weights[i] -= step.lr * direction[i];
  if (terms.mask != nullptr) zero_masked(terms.mask, begin, end, weights);
}

// The same without a term but the data's: one loop instead of one a term.
COPPICE_CLONES
void plain_step(const SgdStep& step, const float* gradient, std::int64_t begin, std::int64_t end) {
  const SgdStep s = step;
  for (std::int64_t i = begin; i < end; ++i) {
    const float direction = s.clip_scale * gradient[i] + s.weight_decay * s.weights[i];
    s.weights[i] -= s.lr * direction;
  }
}

COPPICE_CLONES
void plain_momentum_step(const SgdStep& step, const float* gradient, std::int64_t begin,
                         std::int64_t end) {
  const SgdStep s = step;
  for (std::int64_t i = begin; i < end; ++i) {
    const float direction = s.clip_scale * gradient[i] + s.weight_decay * s.weights[i];
    s.velocity[i] = s.momentum * s.velocity[i] + direction;
    s.weights[i] -= s.lr * s.velocity[i];
  }
}

}  // namespace

void sgd_step(const SgdStep& step, std::int64_t begin, std::int64_t end) {
  const bool is_plain = step.terms.global == nullptr && step.terms.correction == nullptr &&
                        step.terms.mask == nullptr;
  if (is_plain) {
    const auto run = step.velocity == nullptr ? plain_step : plain_momentum_step;
    run(step, step.terms.gradient, begin, end);
    return;
  }
  LocalGradient terms = step.terms;
  terms.weights = step.weights;
  for (std::int64_t first = begin; first < end; first += kPiece) {
    step_piece(step, terms, first, std::min(end, first + kPiece));
  }
}

}  // namespace coppice::kernels
