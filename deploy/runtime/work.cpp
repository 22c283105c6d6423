#include "deploy/runtime/work.h"

#include "deploy/runtime/inference.h"
#include "deploy/runtime/schedule.h"

namespace coppice::runtime {
namespace {

std::int64_t tensor_bytes(const Inference& inference, std::size_t node) {
  return element_count(inference.shapes()[node]) * (inference.grids()[node] ? 1 : 4);
}

std::int64_t parameter_bytes_moved(const ParameterCounts& counts, bool is_integer) {
  if (counts.channels == 0) return 4 * counts.norm;
  // Bias and multiplier, or bias; codes without integers are unpacked to values.
  return counts.channels * (is_integer ? counts.row + 8 : 4 * counts.row + 4);
}

}  // namespace

std::vector<NodeWork> work_by_node(const Program& program) {
  const Inference inference = infer(program);
  const Schedule schedule = make_schedule(program, inference, true, Folding::kAll);
  std::vector<NodeWork> out(program.nodes.size());
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const Node& node = program.nodes[i];
    NodeWork& work = out[i];
    work.is_folded = schedule.produces[i] < 0;
    if (work.is_folded || changes_nothing(node.op)) continue;
    const ParameterCounts counts = inference.counts(node);
    work.is_integer = inference.is_integer(node);
    work.multiply_adds = element_count(inference.shapes()[i]) * counts.row;
    work.bytes = parameter_bytes_moved(counts, work.is_integer);
    for (const std::int32_t input : node.inputs)
      work.bytes += tensor_bytes(inference, static_cast<std::size_t>(input));
    work.bytes += tensor_bytes(inference, static_cast<std::size_t>(schedule.produces[i]));
  }
  return out;
}

}  // namespace coppice::runtime
