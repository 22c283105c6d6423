#pragma once
// QuantizeLinear and DequantizeLinear: how the integers of core/quant_plan.h are said in ONNX.
// Internal to deploy/onnx.

#include <span>    // for span
#include <string>  // for string

#include "core/graph.h"
#include "core/quant_plan.h"
#include "deploy/onnx/graph_writer.h"

namespace coppice::onnx_export {

// An fp32 initializer of the parameter's name and shape.
std::string write_parameter(GraphWriter& writer, const ParameterSpec& parameter,
                            std::span<const float> values);

// uint8 codes + 128 of the parameter's name, dequantized along axis 0 with zero point 128 (opset 17
// has no int4: codes of 4 bits lie in [-7, 7]); codes of 7 bits, which cannot saturate a sum, are
// int8 with zero point 0. Throws DataError unless there is a scale an index
// of axis 0 and every value is finite.
std::string write_weight(GraphWriter& writer, const ParameterSpec& parameter,
                         std::span<const float> values, const WeightQuant& quant);

// int32 codes on the grid input_scale x weight scale, dequantized along axis 0.
std::string write_bias(GraphWriter& writer, const ParameterSpec& parameter,
                       std::span<const float> values, float input_scale,
                       const WeightQuant& weight_quant);

// `tensor` through QuantizeLinear and DequantizeLinear; `name` is the node whose output it is.
std::string write_activation(GraphWriter& writer, const std::string& name,
                             const std::string& tensor, const ActivationQuant& quant);

}  // namespace coppice::onnx_export
