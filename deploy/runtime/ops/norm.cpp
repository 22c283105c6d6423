// group_norm, layer_norm and batch_norm (frozen statistics), in fp32 with sums in double.

#include <algorithm>  // for min
#include <cmath>      // for sqrt

#include "deploy/runtime/step.h"

namespace coppice::runtime {
namespace {

struct Moments {
  float mean = 0.0F;
  float inverse_deviation = 0.0F;
};

Moments moments(const Tensor& in, std::int64_t begin, std::int64_t count, float epsilon) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{in.at(begin + i)};
  const double mean = sum / static_cast<double>(count);
  double squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference = double{in.at(begin + i)} - mean;
    squares += difference * difference;
  }
  const double variance = squares / static_cast<double>(count);
  return {static_cast<float>(mean),
          static_cast<float>(1.0 / std::sqrt(variance + double{epsilon}))};
}

// `count` elements of one channel: (x - mean) * inverse_deviation * weight + bias.
void normalize_channel(const Step& step, std::int64_t begin, std::int64_t count,
                       const Moments& moments, float weight, float bias) {
  float piece[kPiece];
  const float factor = moments.inverse_deviation * weight;
  for (std::int64_t at = 0; at < count; at += kPiece) {
    const std::int64_t n = std::min(kPiece, count - at);
    load(step.inputs[0], begin + at, n, piece);
    for (std::int64_t i = 0; i < n; ++i) piece[i] = (piece[i] - moments.mean) * factor + bias;
    store(step.output, begin + at, n, piece);
  }
}

// Images: groups of channels.
void group_norm(const Step& step) {
  const Node& node = *step.node;
  const Shape& shape = step.output.shape;
  const std::int64_t pixels = shape[1] * shape[2];
  const float* weight = node.norm.data();
  const float* bias = weight + shape[0];
  for (std::int64_t first = 0; first < shape[0]; first += node.group_size) {
    const Moments of_group =
        moments(step.inputs[0], first * pixels, node.group_size * pixels, node.epsilon);
    for (std::int64_t c = first; c < first + node.group_size; ++c)
      normalize_channel(step, c * pixels, pixels, of_group, weight[c], bias[c]);
  }
}

void batch_norm(const Step& step) {
  const Shape& shape = step.output.shape;
  const std::int64_t pixels = shape[1] * shape[2];
  const float* weight = step.node->norm.data();
  for (std::int64_t c = 0; c < shape[0]; ++c) {
    const float mean = weight[2 * shape[0] + c];
    const float variance = weight[3 * shape[0] + c];
    const Moments frozen{mean, 1.0F / std::sqrt(variance + step.node->epsilon)};
    normalize_channel(step, c * pixels, pixels, frozen, weight[c], weight[shape[0] + c]);
  }
}

// Vectors and sequences: the features of each step.
void layer_norm(const Step& step) {
  const std::int64_t features = step.output.shape.back();
  const float* weight = step.node->norm.data();
  for (std::int64_t begin = 0; begin < step.output.size; begin += features) {
    const Moments of_step = moments(step.inputs[0], begin, features, step.node->epsilon);
    for (std::int64_t i = 0; i < features; ++i)
      normalize_channel(step, begin + i, 1, of_step, weight[i], weight[features + i]);
  }
}

}  // namespace

void run_norm(const Step& step) {
  if (step.node->op == Op::group_norm) return group_norm(step);
  if (step.node->op == Op::batch_norm) return batch_norm(step);
  layer_norm(step);
}

}  // namespace coppice::runtime
