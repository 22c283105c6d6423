#include "deploy/file_bytes.h"

#include "algorithms/quantize.h"
#include "deploy/layout_choice.h"
#include "deploy/lower.h"
#include "deploy/runtime/cpk.h"
#include "kernels/code_stream.h"

namespace coppice {

std::int64_t coded_bytes(std::span<const float> values, const Shape& shape,
                         const WeightQuant& quant) {
  const std::vector<std::int8_t> codes = weight_codes(values, quant);
  const std::int64_t row = element_count(shape) / shape.front();
  return static_cast<std::int64_t>(kernels::coded_bytes(codes, row));
}

FileBytes file_bytes(const Checkpoint& checkpoint, const LatencyTable* table) {
  FileBytes out;
  const runtime::Program program = with_chosen_layouts(lower_in_rows(checkpoint), table);
  out.file = static_cast<std::int64_t>(runtime::write_cpk(program).size());
  std::vector<float> parameters = checkpoint.parameters;
  if (checkpoint.mask) checkpoint.mask->apply(parameters);
  const Graph& graph = checkpoint.graph;
  for (const WeightQuant& quant : checkpoint.plan.weights) {
    const auto index = static_cast<std::size_t>(graph.parameter_named(quant.parameter));
    const ParameterSpec& parameter = graph.parameters()[index];
    const auto values = std::span<const float>(parameters)
                            .subspan(static_cast<std::size_t>(parameter.offset),
                                     static_cast<std::size_t>(parameter.size()));
    out.weights.push_back({.parameter = quant.parameter,
                           .bits = quant.bits,
                           .weights = parameter.size(),
                           .bytes = coded_bytes(values, parameter.shape, quant)});
  }
  return out;
}

}  // namespace coppice
