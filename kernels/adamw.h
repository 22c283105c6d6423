#pragma once
// One step of AdamW over a flat arena, in one pass over memory. With g the local gradient
// (kernels/local_gradient.h) and t the step, counted from 1 (Loshchilov & Hutter 2019, algorithm 2,
// with the schedule's factor inside lr, as PyTorch):
//
//   d = clip_scale * g;   m = beta1 * m + (1 - beta1) * d;   s = beta2 * s + (1 - beta2) * d^2
//   w = w - lr * weight_decay * w - lr / (1 - beta1^t) * m / (sqrt(s / (1 - beta2^t)) + epsilon);
//   0 where masked
//
// Owns nothing; any thread may call on its own arrays. Non-finite values travel through.

#include <cstdint>  // for int64_t

#include "kernels/local_gradient.h"

namespace coppice::kernels {

struct AdamWStep {
  LocalGradient terms;             // terms.weights is ignored: the pass reads `weights`
  float* weights = nullptr;        // updated in place
  float* first_moment = nullptr;   // zeros before the first step, updated in place
  float* second_moment = nullptr;  // likewise
  std::int64_t moments_begin = 0;  // the element that both moments' [0] is of
  std::int64_t t = 1;
  double lr = 0.0;  // factors are doubles, because the bias corrections need them
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  float clip_scale = 1.0F;
};

// Steps elements [begin, end) of the arrays.
void adamw_step(const AdamWStep& step, std::int64_t begin, std::int64_t end);

}  // namespace coppice::kernels
