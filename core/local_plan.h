#pragma once
// What a strategy asks of a client's local step. A federated method that only changes how clients
// train is one LocalPlan; executors interpret it, and one that cannot run a term says so before
// round 1.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

namespace coppice {

enum class OptimizerKind { kSgd, kAdamW };

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  double lr = 0.01;       // before the schedule's factor
  double momentum = 0.0;  // sgd: v <- momentum * v + g; w <- w - lr * v (PyTorch's form)
  // sgd: added to the gradient; adamw: decoupled (Loshchilov & Hutter 2019).
  double weight_decay = 0.0;
  double beta1 = 0.9;     // adamw
  double beta2 = 0.999;   // adamw
  double epsilon = 1e-8;  // adamw

  friend bool operator==(const OptimizerSpec&, const OptimizerSpec&) = default;
};

enum class ScheduleKind { kConstant, kCosine, kStep, kExponential };

// Learning-rate factor of round r = 1..rounds. During the first `warmup_rounds` it is r /
// (warmup_rounds + 1); then with t = (r - 1 - warmup) / (rounds - warmup):
//   cosine: min_factor + (1 - min_factor) * (1 + cos(pi t)) / 2; step: gamma ^ floor((r - 1 -
//   warmup) / step_rounds); exponential: gamma ^ (r - 1 - warmup); constant: 1.
struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kConstant;
  std::int64_t warmup_rounds = 0;
  double min_factor = 0.0;
  std::int64_t step_rounds = 10;
  double gamma = 0.1;

  friend bool operator==(const ScheduleSpec&, const ScheduleSpec&) = default;
};

// `round` counts from 1. Throws ConfigError unless 1 <= round <= rounds.
double schedule_factor(const ScheduleSpec& schedule, std::int64_t round, std::int64_t rounds);

enum class LossKind { kCrossEntropy, kDistillation, kContrastive, kFeatureMatching };

// One weighted term of the local loss, a mean over the labels of a batch.
//   cross-entropy     with the labels
//   distillation      T^2 KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015)
//   feature matching  distance of the samples' similarities at a node of the student and at one of
//                     the teacher (Tung & Mori 2019); widths may differ
struct LossTerm {
  LossKind kind = LossKind::kCrossEntropy;
  double weight = 1.0;
  double temperature = 1.0;  // T > 0: distillation, contrastive
  // distillation: the teacher's name; contrastive, feature matching: the node of the model that is
  // trained (the teacher's node is whoever provides the teacher's business)
  std::string buffer = {};

  friend bool operator==(const LossTerm&, const LossTerm&) = default;
};

enum class MaskRule { kNone, kKeepZero };  // kKeepZero: masked weights are zero after every step

// How a client's step is made to fit into less memory (docs/training_memory.md).
struct MemorySpec {
  // Samples that go through the network at once; their gradients are summed over the batch, up to
  // rounding those of the whole. 0: the batch.
  std::int64_t micro_batch = 0;
  // What a ReLU, a maximum and a grid need of their values for the backward pass is kept as a few
  // bits an element, where nothing else needs the values. The same bits result.
  bool relu_bits = false;
  // A convolution and the max pool behind it run a register of samples at a time, so that what is
  // between them is never there for all samples. Sums round otherwise.
  bool fused_pools = false;
  // Of an element that the gradient of a convolution's or linear's weights reads: 32, or 8 for
  // codes to the nearest of 256 values between the least and the largest. Nothing else reads them.
  std::int64_t saved_bits = 32;
  // So many layers with weights, counted from the input, and the norms behind them, stay as they
  // are: no gradient, no momentum, no activations kept for them.
  std::int64_t freeze_first = 0;

  friend bool operator==(const MemorySpec&, const MemorySpec&) = default;
};

struct LocalPlan {
  OptimizerSpec optimizer;  // lr already multiplied by the schedule's factor
  std::int64_t epochs = 1;  // passes over the client's data; 0 when `steps` says how long
  std::int64_t steps = 0;
  std::int64_t batch_size = 64;
  // L2 norm of a step's whole gradient, prox and correction included; 0: off.
  double clip_norm = 0.0;
  double prox_mu = 0.0;           // adds (mu/2) ||w - w_global||^2 to the loss (Li et al. 2020)
  std::string linear_correction;  // empty, or the named buffer added to every gradient (SCAFFOLD's
                                  // c - c_k)
  std::vector<LossTerm> loss_terms = {LossTerm{}};
  MaskRule mask_rule = MaskRule::kNone;
  std::vector<std::string> keep_state;  // names of per-client state that outlives the round
  MemorySpec memory;

  friend bool operator==(const LocalPlan&, const LocalPlan&) = default;
};

// Whether a term of the loss needs a teacher's outputs.
bool is_distilled(const LocalPlan& plan);

}  // namespace coppice
