#include "models/libtorch/distillation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>

namespace coppice::libtorch {
namespace {

constexpr double kLeastNorm = 1e-12;  // of a row of similarities that has a direction

struct Similarity {
  at::Tensor rows;          // [b, features]
  at::Tensor unit;          // [b, b], rows of length 1 or 0
  at::Tensor inverse_norm;  // [b, 1]
};

Similarity similarity(const at::Tensor& features) {
  Similarity out;
  out.rows = features.reshape({features.size(0), -1});
  const at::Tensor gram = at::mm(out.rows, out.rows.t());
  const at::Tensor norm = gram.square().sum(1, /*keepdim=*/true).sqrt_();
  out.inverse_norm = norm.gt(kLeastNorm).to(norm.scalar_type()).div_(norm.clamp_min(kLeastNorm));
  out.unit = gram.mul(out.inverse_norm);
  return out;
}

}  // namespace

LossGradient distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                          double temperature) {
  const at::NoGradGuard no_grad;
  const auto n = static_cast<double>(student_logits.size(0));
  const at::Tensor log_q = at::log_softmax(student_logits.div(temperature), -1);
  const at::Tensor log_p = at::log_softmax(teacher_logits.div(temperature), -1);
  const at::Tensor p = log_p.exp();
  const double divergence = p.mul(log_p.sub(log_q)).sum(at::kDouble).item<double>();
  return {.loss = temperature * temperature / n * divergence,
          .gradient = log_q.exp().sub_(p).mul_(temperature / n)};
}

LossGradient similarity_preserving(const at::Tensor& student_features,
                                   const at::Tensor& teacher_features) {
  const at::NoGradGuard no_grad;
  const Similarity student = similarity(student_features);
  const at::Tensor difference = student.unit.sub(similarity(teacher_features).unit);
  const auto b = static_cast<double>(student_features.size(0));
  const double loss = difference.square().sum(at::kDouble).item<double>() / (b * b);
  const at::Tensor e = difference.mul(2.0 / (b * b));
  const at::Tensor along = e.mul(student.unit).sum(1, /*keepdim=*/true);
  const at::Tensor h = e.sub(student.unit.mul(along)).mul_(student.inverse_norm);
  return {.loss = loss,
          .gradient = at::mm(h.add(h.t()), student.rows).reshape(student_features.sizes())};
}

}  // namespace coppice::libtorch
