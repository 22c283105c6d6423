#include "deploy/runtime/assembly.h"

#include "deploy/runtime/error.h"

namespace coppice::runtime {
namespace {

const Grid* pointer(const std::optional<Grid>& grid) { return grid ? &*grid : nullptr; }

void place(Tensor& tensor, bool is_codes, std::byte* at) {
  if (is_codes) {
    tensor.codes = reinterpret_cast<std::uint8_t*>(at);
  } else {
    tensor.values = reinterpret_cast<float*>(at);
  }
}

}  // namespace

Run run_of(Op op) {
  switch (op) {
    case Op::conv2d:
      return run_conv2d;
    case Op::linear:
      return run_linear;
    case Op::group_norm:
    case Op::batch_norm:
    case Op::layer_norm:
      return run_norm;
    case Op::max_pool2d:
    case Op::avg_pool2d:
      return run_pool;
    case Op::global_avg_pool:
      return run_global_avg_pool;
    case Op::concat:
      return run_concat;
    case Op::channel_scale:
      return run_channel_scale;
    case Op::slice:
      return run_slice;
    case Op::last_step:
      return run_last_step;
    case Op::input:
    case Op::flatten:
    case Op::dropout:
      return nullptr;
    default:
      return run_elementwise;
  }
}

Step prepared_step(const Program& program, const Inference& inference, std::size_t index,
                   std::size_t output) {
  const Node& node = program.nodes[index];
  Step step;
  step.node = &node;
  step.run = run_of(node.op);
  if (const std::int64_t row = inference.counts(node).row; row > 0) {
    const auto input = static_cast<std::size_t>(node.inputs[0]);
    prepare_product(step, inference.is_integer(node), pointer(inference.grids()[input]),
                    pointer(inference.grids()[output]),
                    output == index ? nullptr : &program.nodes[output], row);
  } else if (output != index) {
    fold_relu(step, program.nodes[output], *inference.grids()[output]);
  }
  return step;
}

std::vector<Tensor> placed_tensors(const Inference& inference, const Schedule& schedule,
                                   const ArenaPlan& plan, std::span<std::byte> arena) {
  std::vector<Tensor> tensors(inference.shapes().size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].shape = inference.shapes()[i];
    tensors[i].size = element_count(tensors[i].shape);
    if (inference.grids()[i]) tensors[i].grid = *inference.grids()[i];
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (schedule.storage[i] < 0) continue;
    place(tensors[i], inference.grids()[i].has_value(),
          arena.data() + plan.offsets[static_cast<std::size_t>(schedule.storage[i])]);
  }
  return tensors;
}

void check_counts(std::size_t sample, std::int64_t sample_size, std::size_t logits,
                  std::int64_t logit_count) {
  if (static_cast<std::int64_t>(sample) != sample_size)
    fail("expected a sample of ", sample_size, " values, got ", sample);
  if (static_cast<std::int64_t>(logits) != logit_count)
    fail("expected room for ", logit_count, " logits, got ", logits);
}

}  // namespace coppice::runtime
