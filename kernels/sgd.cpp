#include "kernels/sgd.h"

#include <algorithm>  // for min

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

}  // namespace

void sgd_step(const SgdStep& step, std::int64_t begin, std::int64_t end) {
  LocalGradient terms = step.terms;
  terms.weights = step.weights;
  for (std::int64_t first = begin; first < end; first += kPiece) {
    step_piece(step, terms, first, std::min(end, first + kPiece));
  }
}

}  // namespace coppice::kernels
