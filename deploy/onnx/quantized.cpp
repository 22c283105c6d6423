#include "deploy/onnx/quantized.h"

#include <algorithm>  // for all_of
#include <cmath>      // for isfinite

#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/onnx/names.h"

namespace coppice::onnx_export {
namespace {

template <typename Code>
std::string dequantize(GraphWriter& writer, const ParameterSpec& parameter,
                       std::span<const Code> codes, std::span<const float> scales, Code zero,
                       const std::string& remark = {}) {
  const std::string& name = parameter.name;
  const Shape channels{static_cast<std::int64_t>(scales.size())};
  const std::vector<Code> zeros(scales.size(), zero);
  const std::string tensor = writer.constant(name, parameter.shape, codes);
  if (!remark.empty()) writer.remark(remark);
  const std::string scale = writer.constant(name + "/scale", channels, scales);
  const std::string zero_point =
      writer.constant(name + "/zero_point", channels, std::span<const Code>(zeros));
  return writer.node("DequantizeLinear", name + "/dequantized", {tensor, scale, zero_point},
                     {{"axis", std::int64_t{0}}});
}

}  // namespace

std::string write_parameter(GraphWriter& writer, const ParameterSpec& parameter,
                            std::span<const float> values) {
  return writer.constant(parameter.name, parameter.shape, values);
}

std::string write_weight(GraphWriter& writer, const ParameterSpec& parameter,
                         std::span<const float> values, const WeightQuant& quant) {
  if (static_cast<std::int64_t>(quant.scales.size()) != parameter.shape.front()) {
    throw DataError(text("parameter '", parameter.name, "': expected ", parameter.shape.front(),
                         " scales, got ", quant.scales.size()));
  }
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
    throw DataError(text("parameter '", parameter.name, "': a value is not finite"));
  const std::vector<std::int8_t> codes = weight_codes(values, quant);
  const std::string remark = bits_remark(quant.bits);
  if (quant.bits == 7)
    return dequantize<std::int8_t>(writer, parameter, codes, quant.scales, 0, remark);
  // As unsigned bytes about 128: onnxruntime's kernels for unsigned times signed bytes saturate
  // their 16-bit sums of pairs on processors without VNNI (1.5 % of LeNet-5's classes changed).
  std::vector<std::uint8_t> shifted;
  shifted.reserve(codes.size());
  for (const std::int8_t code : codes) shifted.push_back(static_cast<std::uint8_t>(code + 128));
  return dequantize<std::uint8_t>(writer, parameter, shifted, quant.scales, 128, remark);
}

std::string write_bias(GraphWriter& writer, const ParameterSpec& parameter,
                       std::span<const float> values, float input_scale,
                       const WeightQuant& weight_quant) {
  std::vector<float> scales;
  for (const float scale : weight_quant.scales) scales.push_back(input_scale * scale);
  return dequantize<std::int32_t>(writer, parameter, bias_codes(values, input_scale, weight_quant),
                                  scales, 0);
}

std::string write_activation(GraphWriter& writer, const std::string& name,
                             const std::string& tensor, const ActivationQuant& quant) {
  const auto offset = static_cast<std::uint8_t>(quant.zero_point);
  const std::string scale = writer.scalar(name + "/scale", quant.scale);
  const std::string zero_point =
      writer.constant(name + "/zero_point", {}, std::span<const std::uint8_t>(&offset, 1));
  const std::string codes =
      writer.node("QuantizeLinear", name + "/codes", {tensor, scale, zero_point});
  return writer.node("DequantizeLinear", name + "/dequantized", {codes, scale, zero_point});
}

}  // namespace coppice::onnx_export
