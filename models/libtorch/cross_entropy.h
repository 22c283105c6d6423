#pragma once
// Cross-entropy of a batch of logits with its gradient, and top-1, from one log-softmax. Internal
// to models/.

#include <ATen/core/Tensor.h>

#include <cstdint>  // for int64_t
#include <span>     // for span

namespace coppice::libtorch {

struct CrossEntropy {
  double loss_sum = 0.0;         // over labels, added in double in the labels' order
  std::int64_t correct = 0;      // rows whose largest logit is the label's (the first of equals)
  at::Tensor log_probabilities;  // [labels, classes]
};

// `logits` [labels, classes] fp32; every label in [0, classes). Records nothing for autograd.
CrossEntropy cross_entropy(const at::Tensor& logits, std::span<const std::int32_t> labels);

// d(scale * loss_sum) / d(logits) = scale * (softmax - one-hot).
at::Tensor cross_entropy_gradient(const CrossEntropy& scored, std::span<const std::int32_t> labels,
                                  double scale);

}  // namespace coppice::libtorch
