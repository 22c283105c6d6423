#pragma once
// How many bits each parameter's values are stored in. Uniform fp32 until quantization writes one.
// Part of the model's hash. Plain value.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

namespace coppice {

struct ParameterBits {
  std::string parameter;  // ParameterSpec::name
  int bits = 32;

  friend bool operator==(const ParameterBits&, const ParameterBits&) = default;
};

struct QuantPlan {
  std::vector<ParameterBits> weights;  // in the graph's order; a parameter that is not named has 32
                                       // bits

  friend bool operator==(const QuantPlan&, const QuantPlan&) = default;
};

// Mean bits an element. `sizes` are the element counts of `plan.weights`; `total` those of all
// parameters.
double mean_bits(const QuantPlan& plan, const std::vector<std::int64_t>& sizes, std::int64_t total);

}  // namespace coppice
