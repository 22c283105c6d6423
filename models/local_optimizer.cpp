#include "models/local_optimizer.h"

#include <algorithm>  // for fill
#include <cmath>      // for sqrt

#include "kernels/adamw.h"
#include "kernels/local_gradient.h"
#include "kernels/sgd.h"

namespace coppice {
namespace {

void zero(AlignedBuffer& buffer, std::int64_t size) {
  if (buffer.size() == 0) {
    buffer = AlignedBuffer(static_cast<std::size_t>(size));
  } else {
    std::ranges::fill(buffer.span(), 0.0F);
  }
}

kernels::LocalGradient local_terms(const TrainRequest& request, const float* weights,
                                   const float* gradient) {
  const LocalPlan& plan = *request.plan;
  const bool has_mask = plan.mask_rule == MaskRule::kKeepZero;
  return {
      .gradient = gradient,
      .weights = weights,
      .global = plan.prox_mu != 0.0 ? request.global.data() : nullptr,
      .correction = request.linear_correction.empty() ? nullptr : request.linear_correction.data(),
      .mask = has_mask ? request.mask->words().data() : nullptr,
      .prox_mu = static_cast<float>(plan.prox_mu)};
}

}  // namespace

LocalOptimizer::LocalOptimizer(const Graph& graph) : size_(graph.parameter_count()) {
  for (const ParameterSpec& parameter : graph.parameters()) {
    if (!parameter.is_trainable || parameter.size() == 0) continue;
    const std::int64_t end = parameter.offset + parameter.size();
    if (!trainable_.empty() && trainable_.back().end == parameter.offset) {
      trainable_.back().end = end;
    } else {
      trainable_.push_back({parameter.offset, end});
    }
  }
}

void LocalOptimizer::begin(const TrainRequest& request) {
  request_ = &request;
  steps_done_ = 0;
  const OptimizerSpec& optimizer = request.plan->optimizer;
  const bool is_adamw = optimizer.kind == OptimizerKind::kAdamW;
  if (is_adamw || optimizer.momentum != 0.0) zero(first_moment_, size_);
  if (is_adamw) zero(second_moment_, size_);
}

float LocalOptimizer::clip_scale(const float* weights, const float* gradient) const {
  const double limit = request_->plan->clip_norm;
  if (limit <= 0.0) return 1.0F;
  const kernels::LocalGradient terms = local_terms(*request_, weights, gradient);
  double square_norm = 0.0;
  for (const ParameterRange& range : trainable_) {
    square_norm += kernels::local_gradient_square_norm(terms, range.begin, range.end);
  }
  const double norm = std::sqrt(square_norm);
  return norm > limit ? static_cast<float>(limit / norm) : 1.0F;
}

void LocalOptimizer::step_range(float* weights, const kernels::LocalGradient& terms, float scale,
                                const ParameterRange& range) {
  const OptimizerSpec& optimizer = request_->plan->optimizer;
  if (optimizer.kind == OptimizerKind::kAdamW) {
    kernels::adamw_step({.terms = terms,
                         .weights = weights,
                         .first_moment = first_moment_.data(),
                         .second_moment = second_moment_.data(),
                         .t = steps_done_ + 1,
                         .lr = optimizer.lr,
                         .beta1 = optimizer.beta1,
                         .beta2 = optimizer.beta2,
                         .epsilon = optimizer.epsilon,
                         .weight_decay = optimizer.weight_decay,
                         .clip_scale = scale},
                        range.begin, range.end);
  } else {
    kernels::sgd_step({.terms = terms,
                       .weights = weights,
                       .velocity = optimizer.momentum != 0.0 ? first_moment_.data() : nullptr,
                       .lr = static_cast<float>(optimizer.lr),
                       .momentum = static_cast<float>(optimizer.momentum),
                       .weight_decay = static_cast<float>(optimizer.weight_decay),
                       .clip_scale = scale},
                      range.begin, range.end);
  }
}

void LocalOptimizer::step_part(float* weights, const float* gradient, const ParameterRange& part) {
  kernels::LocalGradient terms = local_terms(*request_, weights, gradient);
  terms.gradient_begin = part.begin;
  step_range(weights, terms, 1.0F, part);
}

void LocalOptimizer::step(float* weights, const float* gradient,
                          std::span<const ParameterRange> parts) {
  const kernels::LocalGradient terms = local_terms(*request_, weights, gradient);
  const float scale = clip_scale(weights, gradient);
  std::size_t next = 0;
  for (const ParameterRange& range : trainable_) {
    std::int64_t begin = range.begin;
    for (; next < parts.size() && parts[next].begin < range.end; ++next) {
      step_range(weights, terms, scale, {begin, parts[next].begin});
      begin = parts[next].end;
    }
    step_range(weights, terms, scale, {begin, range.end});
  }
  ++steps_done_;
}

}  // namespace coppice
