#include "models/libtorch/cross_entropy.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>  // for max_element

namespace coppice::libtorch {

CrossEntropy cross_entropy(const at::Tensor& logits, std::span<const std::int32_t> labels) {
  const at::NoGradGuard no_grad;
  CrossEntropy scored;
  scored.log_probabilities = at::log_softmax(logits, -1).contiguous();
  const std::int64_t classes = logits.size(-1);
  const float* row = scored.log_probabilities.const_data_ptr<float>();
  for (const std::int32_t label : labels) {
    scored.loss_sum -= static_cast<double>(row[label]);
    if (std::max_element(row, row + classes) - row == label) ++scored.correct;
    row += classes;
  }
  return scored;
}

at::Tensor cross_entropy_gradient(const CrossEntropy& scored, std::span<const std::int32_t> labels,
                                  double scale) {
  const at::NoGradGuard no_grad;
  const std::int64_t classes = scored.log_probabilities.size(-1);
  at::Tensor gradient = scored.log_probabilities.exp().mul_(scale);
  float* row = gradient.mutable_data_ptr<float>();
  for (const std::int32_t label : labels) {
    row[label] -= static_cast<float>(scale);
    row += classes;
  }
  return gradient;
}

}  // namespace coppice::libtorch
