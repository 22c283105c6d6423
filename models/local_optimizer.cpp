#include "models/local_optimizer.h"

#include <algorithm>  // for fill
#include <cmath>      // for sqrt

#include "kernels/adamw.h"
#include "kernels/local_gradient.h"
#include "kernels/sgd.h"
#include "models/frozen.h"

namespace coppice {
namespace {

void zero(AlignedBuffer& buffer, std::int64_t size) {
  if (buffer.size() != static_cast<std::size_t>(size)) {
    buffer = {};  // before the next one comes
    buffer = AlignedBuffer(static_cast<std::size_t>(size));
  } else {
    std::ranges::fill(buffer.span(), 0.0F);
  }
}

std::int64_t moments_of(const OptimizerSpec& optimizer) {
  if (optimizer.kind == OptimizerKind::kAdamW) return 2;
  return optimizer.momentum != 0.0 ? 1 : 0;
}

// Ascending, merged.
std::vector<ParameterRange> trainable_from(const Graph& graph, std::int64_t begin) {
  std::vector<ParameterRange> ranges;
  for (const ParameterSpec& parameter : graph.parameters()) {
    if (!parameter.is_trainable || parameter.size() == 0 || parameter.offset < begin) continue;
    const std::int64_t end = parameter.offset + parameter.size();
    if (!ranges.empty() && ranges.back().end == parameter.offset) {
      ranges.back().end = end;
    } else {
      ranges.push_back({parameter.offset, end});
    }
  }
  return ranges;
}

kernels::LocalGradient local_terms(const TrainRequest& request, const float* weights,
                                   const ArenaGradient& gradient) {
  const LocalPlan& plan = *request.plan;
  const bool has_mask = plan.mask_rule == MaskRule::kKeepZero;
  return {
      .gradient = gradient.values,
      .gradient_begin = gradient.begin,
      .weights = weights,
      .global = plan.prox_mu != 0.0 ? request.global.data() : nullptr,
      .correction = request.linear_correction.empty() ? nullptr : request.linear_correction.data(),
      .mask = has_mask ? request.mask->words().data() : nullptr,
      .prox_mu = static_cast<float>(plan.prox_mu)};
}

}  // namespace

void LocalOptimizer::begin(const TrainRequest& request) {
  request_ = &request;
  steps_done_ = 0;
  frozen_ = frozen_part(graph_, request.plan->memory.freeze_first).parameters;
  trainable_ = trainable_from(graph_, frozen_);
  const std::int64_t size = graph_.parameter_count() - frozen_;
  const std::int64_t moments = moments_of(request.plan->optimizer);
  if (moments > 0) zero(first_moment_, size);
  if (moments > 1) zero(second_moment_, size);
}

std::int64_t LocalOptimizer::state_bytes(const Graph& graph, const LocalPlan& plan) {
  const std::int64_t size =
      graph.parameter_count() - frozen_part(graph, plan.memory.freeze_first).parameters;
  return moments_of(plan.optimizer) * size * static_cast<std::int64_t>(sizeof(float));
}

float LocalOptimizer::clip_scale(const kernels::LocalGradient& terms) const {
  const double limit = request_->plan->clip_norm;
  if (limit <= 0.0) return 1.0F;
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
                         .moments_begin = frozen_,
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
                       .velocity_begin = frozen_,
                       .lr = static_cast<float>(optimizer.lr),
                       .momentum = static_cast<float>(optimizer.momentum),
                       .weight_decay = static_cast<float>(optimizer.weight_decay),
                       .clip_scale = scale},
                      range.begin, range.end);
  }
}

void LocalOptimizer::step_part(float* weights, const float* gradient, const ParameterRange& part) {
  step_range(weights, local_terms(*request_, weights, {gradient, part.begin}), 1.0F, part);
}

void LocalOptimizer::step(float* weights, const ArenaGradient& gradient,
                          std::span<const ParameterRange> parts) {
  const kernels::LocalGradient terms = local_terms(*request_, weights, gradient);
  const float scale = clip_scale(terms);
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
