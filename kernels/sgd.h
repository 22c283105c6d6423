#pragma once
// One step of stochastic gradient descent over a flat arena, in one pass over memory. With g the
// local gradient (kernels/local_gradient.h), in the order and form of PyTorch's clip_grad_norm_
// followed by torch.optim.SGD (Sutskever et al. 2013 without their lr inside the velocity):
//
//   d = clip_scale * g + weight_decay * w;   v = momentum * v + d;   w = w - lr * v;   w = v = 0
//   where masked
//
// Owns nothing; any thread may call on its own arrays. Non-finite values travel through.

#include <cstdint>  // for int64_t

#include "kernels/local_gradient.h"

namespace coppice::kernels {

struct SgdStep {
  LocalGradient terms;       // terms.weights is ignored: the pass reads `weights`
  float* weights = nullptr;  // updated in place
  float* velocity =
      nullptr;  // zeros before the first step, updated in place; null: momentum must be 0
  std::int64_t velocity_begin = 0;  // the element that velocity[0] is of
  float lr = 0.0F;
  float momentum = 0.0F;
  float weight_decay = 0.0F;
  float clip_scale = 1.0F;  // min(1, clip_norm / norm of g)
};

// Steps elements [begin, end) of the arrays.
void sgd_step(const SgdStep& step, std::int64_t begin, std::int64_t end);

}  // namespace coppice::kernels
