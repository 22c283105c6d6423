#pragma once
// From fp32 values to the integers of core/quant_plan.h: what of a graph is quantized, the scales
// of weights, and their codes. Pure functions; any thread.

#include <cstdint>  // for int8_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/graph.h"
#include "core/quant_plan.h"

namespace coppice {

// Names of the nodes whose output is stored as 8-bit codes, in the graph's order: what conv2d,
// linear and operations on images read. Chains that a runtime computes in one go (conv2d,
// group_norm, relu) have one grid, at their end; the graph's output stays fp32. The tensors of a
// transformer between its matrix products stay fp32.
std::vector<std::string> quantized_nodes(const Graph& graph);

// Parameters that are stored in few bits: the weights of conv2d and linear, and embedding tables.
std::vector<std::string> quantized_parameters(const Graph& graph);

// The nearest float of 9 significant bits of which the last is set, at most 2^-8 of `scale` away: a
// file stores it in two bytes. An odd number, because grids of activations often differ by a power
// of two: even scales would put many sums right between two codes, where the order of additions
// decides. `scale` is positive and finite.
float short_scale(float scale);

// Scales of `values` ([channels, ...], channels = shape[0]) for codes of `bits` (is_weight_bits()),
// each a short_scale(): at 8 and 7 bits the channel's largest magnitude over 127 or 63; at fewer
// the clipping with the least squared error, of candidates 1/64 of the largest magnitude apart down
// to 1/2 of it, at 3 bits 1/4, at 2 bits 1/8. Zeros stay zeros. A channel of zeros gets a small
// positive scale. Throws ConfigError for other bits, DataError for a value that is not finite.
WeightQuant weight_quant(const ParameterSpec& parameter, std::span<const float> values, int bits);

// weight_quant() of every one of quantized_parameters(), for `parameters` in the graph's arena
// layout.
std::vector<WeightQuant> weight_grids(const Graph& graph, std::span<const float> parameters,
                                      int bits);
// The same, each with its own bits.
std::vector<WeightQuant> weight_grids(const Graph& graph, std::span<const float> parameters,
                                      std::span<const int> bits);

// Codes of `values`, at most largest_code() of the bits in magnitude.
std::vector<std::int8_t> weight_codes(std::span<const float> values, const WeightQuant& quant);

// `values` on the grid: codes times scales.
void fake_quantize(std::span<float> values, const WeightQuant& quant);

// Bias codes on the grid input_scale x weight scale, one a channel. Throws DataError naming the
// parameter if one does not fit 31 bits.
std::vector<std::int32_t> bias_codes(std::span<const float> bias, float input_scale,
                                     const WeightQuant& quant);

}  // namespace coppice
