#pragma once
// What a teacher adds to a student's loss: two losses with their gradients, as plain functions.
// Internal to models/. Neither records anything for autograd; the teacher is a constant.

#include <ATen/core/Tensor.h>

namespace coppice::libtorch {

struct LossGradient {
  double loss = 0.0;
  at::Tensor gradient;  // d(loss) / d(student), of the student's shape and dtype
};

// Hinton, Vinyals & Dean 2015, section 2: with p = softmax(teacher / T), q = softmax(student / T),
//   loss = T^2 / n * sum over rows of KL(p || q),  gradient = T / n * (q - p).
// T^2 keeps the gradient's size when T changes. Logits are [n, classes] of one dtype, finite; T >
// 0.
LossGradient distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                          double temperature);

// Tung & Mori 2019, eq. 2-4 (similarity-preserving distillation): features [b, ...] are flattened
// to rows A, G = A A^T with every row divided by its L2 norm, and
//   loss = ||G_teacher - G_student||_F^2 / b^2.
// It compares the b x b similarities of the batch's samples, so the two widths may differ. With
// D = G_s - G_t, E = 2 D / b^2, H_i = (E_i - (E_i . G_i) G_i) / |row i of A A^T|:
//   gradient = (H + H^T) A.
// A sample whose features are all zero has no direction: its row of G is zero, its row of H too.
// Costs 2 b^2 x features multiply-accumulates for the student and b^2 x features for the teacher.
LossGradient similarity_preserving(const at::Tensor& student_features,
                                   const at::Tensor& teacher_features);

}  // namespace coppice::libtorch
