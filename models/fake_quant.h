#pragma once
// The grids of a QuantPlan in fp32: what a fake-quantized forward pass reads in place of weights,
// biases and node outputs, and where gradients pass straight through. Internal to models/.
// Immutable; refers to the graph and the plan, which must outlive it.

#include <cstddef>   // for size_t
#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "core/graph.h"
#include "core/quant_plan.h"

namespace coppice {

// Values that an 8-bit output can have: scale times the integers from lowest to highest. Gradients
// pass where x / scale is less than 1/2 outside that range, and nowhere else.
struct NodeGrid {
  float scale;
  float lowest;
  float highest;
};

// out = scale * clamp(round_half_even(in / scale), lowest, highest), n values; NaN stays NaN.
void to_grid(const float* in, float* out, std::int64_t n, const NodeGrid& grid);

class FakeQuant {
 public:
  // Throws ConfigError, naming it, for a parameter or node that the graph lacks, bits that weights
  // cannot have, a number of scales that is not the parameter's axis 0, a scale that is not
  // positive and finite, a zero point outside [0, 255].
  FakeQuant(const Graph& graph, const QuantPlan& plan);

  // Whether quantize_weights() writes it: a weight of the plan, or the bias beside one that is
  // multiplied with codes.
  bool has_weight(std::size_t parameter) const { return has_weight_[parameter]; }

  // quantized = scale * clamp(round_half_even(weight / scale), -limit, limit) for the plan's
  // parameters; for biases the same without limits, on the grid input scale x weight scale; the
  // others are left alone. Arenas of parameter_count floats. NaN stays NaN.
  void quantize_weights(const float* weights, float* quantized) const;

  // Zeroes the gradient of the plan's parameters where the code of the weight saturates, that is
  // |weight / scale| >= limit + 1/2. Arenas of parameter_count floats, the gradient's less the
  // first `gradient_begin`, of parameters that have none.
  void stop_saturated(const float* weights, float* gradient, std::int64_t gradient_begin = 0) const;

  // The grid of nodes[node]'s output: of the codes 0 to 255 less the zero point; none: fp32.
  std::optional<NodeGrid> grid(std::size_t node) const;

 private:
  struct Weight {
    std::int64_t offset;  // in the arena
    std::int64_t channel_size;
    float limit;
    std::span<const float> scales;
  };

  // Of a conv2d or linear on codes. At 4 bits its grid is coarse enough to move codes.
  struct Bias {
    std::int64_t offset;
    std::vector<double> scales;  // one a channel
  };

  void add_biases(const Graph& graph, const QuantPlan& plan);

  std::vector<Weight> weights_;
  std::vector<Bias> biases_;
  std::vector<bool> has_weight_;                     // by parameter
  std::vector<const ActivationQuant*> activations_;  // by node; null: fp32
};

}  // namespace coppice
