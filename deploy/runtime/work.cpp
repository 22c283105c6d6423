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
    const int with = schedule.fused_into[i];
    out[i].is_folded = schedule.produces[i] < 0 || with >= 0;
    if (schedule.produces[i] < 0 || changes_nothing(node.op)) continue;
    const ParameterCounts counts = inference.counts(node);
    NodeWork& work = with < 0 ? out[i] : out[static_cast<std::size_t>(with)];
    work.is_integer = inference.is_integer(node);
    work.multiply_adds += element_count(inference.shapes()[i]) * counts.row;
    work.bytes += parameter_bytes_moved(counts, work.is_integer);
    const auto add_tensor = [&](std::size_t of_node) {
      if (schedule.storage[of_node] >= 0) work.bytes += tensor_bytes(inference, of_node);
    };
    for (const std::int32_t input : node.inputs) add_tensor(static_cast<std::size_t>(input));
    add_tensor(static_cast<std::size_t>(schedule.produces[i]));
  }
  return out;
}

}  // namespace coppice::runtime
