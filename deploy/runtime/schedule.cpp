#include "deploy/runtime/schedule.h"

#include <algorithm>  // for max

#include "deploy/runtime/strip.h"

namespace coppice::runtime {
namespace {

using Consumers = std::vector<std::vector<int>>;

Consumers consumers_of(const Program& program) {
  Consumers out(program.nodes.size());
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    for (const std::int32_t input : program.nodes[i].inputs)
      out[static_cast<std::size_t>(input)].push_back(static_cast<int>(i));
  }
  return out;
}

bool may_be_folded(Folding folding, const Node& node, const Inference& inference) {
  if (inference.is_integer(node)) return true;
  return folding == Folding::kAll &&
         (node.op == Op::add || node.op == Op::group_norm || node.op == Op::batch_norm);
}

// The relu that alone reads node `index`, which has no grid, and puts it on one; or -1.
int folded_relu(const Program& program, const Consumers& consumers, std::size_t index) {
  const Node& node = program.nodes[index];
  if (node.grid || consumers[index].size() != 1) return -1;
  const int reader = consumers[index][0];
  const Node& relu = program.nodes[static_cast<std::size_t>(reader)];
  const bool is_relu = relu.op == Op::relu || relu.op == Op::relu6;
  return is_relu && relu.grid ? reader : -1;
}

bool is_depthwise(const Node& node, const Inference& inference) {
  return node.op == Op::conv2d && node.groups > 1 && node.groups == node.out &&
         inference.is_integer(node) &&
         inference.shapes()[static_cast<std::size_t>(node.inputs[0])][0] == node.groups;
}

bool is_pointwise(const Node& node, const Inference& inference) {
  return node.op == Op::conv2d && node.groups == 1 && inference.is_integer(node) &&
         node.kernel == Pair{1, 1} && node.stride == Pair{1, 1} && node.padding == Pair{0, 0};
}

// Never reads an element of its first input after it has written that of the output.
bool may_overwrite(Op op) {
  return is_elementwise(op) || op == Op::group_norm || op == Op::batch_norm ||
         op == Op::layer_norm || op == Op::channel_scale;
}

class Scheduler {
 public:
  Scheduler(const Program& program, const Inference& inference, bool shares, Folding folding)
      : program_(program),
        inference_(inference),
        consumers_(consumers_of(program)),
        shares_(shares),
        folding_(folding) {}

  Schedule make() {
    const std::size_t count = program_.nodes.size();
    out_.storage.assign(count, -1);
    for (std::size_t i = 0; i < count; ++i) out_.produces.push_back(static_cast<int>(i));
    for (std::size_t i = 0; i < count; ++i) {
      if (!may_be_folded(folding_, program_.nodes[i], inference_)) continue;
      if (const int relu = folded_relu(program_, consumers_, i); relu >= 0) {
        out_.produces[i] = relu;
        out_.produces[static_cast<std::size_t>(relu)] = -1;
      }
    }
    for (std::size_t i = 0; i < count; ++i) out_.fused_into.push_back(pointwise_behind(i));
    for (std::size_t i = 0; i < count; ++i) {
      if (out_.produces[i] >= 0 && out_.fused_into[i] < 0)
        place(static_cast<int>(i), out_.produces[i]);
    }
    return std::move(out_);
  }

 private:
  // Schedule::fused_into of node `index`.
  int pointwise_behind(std::size_t index) const {
    if (folding_ != Folding::kAll || out_.produces[index] < 0 ||
        !is_depthwise(program_.nodes[index], inference_)) {
      return -1;
    }
    const auto result = static_cast<std::size_t>(out_.produces[index]);
    if (!inference_.grids()[result] || consumers_[result].size() != 1) return -1;
    const int reader = consumers_[result].front();
    const auto pointwise = static_cast<std::size_t>(reader);
    if (!is_pointwise(program_.nodes[pointwise], inference_)) return -1;
    return takes_less_together(index, result, pointwise) ? reader : -1;
  }

  std::int64_t bytes_of(std::size_t node) const {
    return (inference_.grids()[node] ? 1 : 4) * element_count(inference_.shapes()[node]);
  }

  // Time is the same: memory decides. Apart, the first has its input, a strip and its output, the
  // second its input, that as 16-bit operand, and its output; together, input and output live at
  // once.
  bool takes_less_together(std::size_t index, std::size_t between, std::size_t pointwise) const {
    const Node& depthwise = program_.nodes[index];
    const auto input = static_cast<std::size_t>(depthwise.inputs[0]);
    const StripPlan strip = strip_plan(depthwise, inference_.shapes()[input]);
    const std::int64_t output = bytes_of(static_cast<std::size_t>(out_.produces[pointwise]));
    const std::int64_t apart =
        std::max(bytes_of(input) + strip.bytes + bytes_of(between), 3 * bytes_of(between) + output);
    return bytes_of(input) + output + strip.joint_bytes < apart;
  }

  // Node `step` writes the output of node `result`.
  void place(int step, int result) {
    const auto to = static_cast<std::size_t>(result);
    int storage = shared_storage(step, to);
    if (storage < 0) {
      storage = static_cast<int>(out_.storages.size());
      out_.storages.push_back({bytes_of(to), step, step});
    }
    out_.storage[to] = storage;
    LiveTensor& live = out_.storages[static_cast<std::size_t>(storage)];
    live.last_step = std::max(live.last_step, last_use(to));
  }

  int last_use(std::size_t node) const {
    int last = static_cast<int>(node);
    for (const int reader : consumers_[node]) {
      const int with = out_.fused_into[static_cast<std::size_t>(reader)];
      last = std::max({last, reader, with});
    }
    return last;
  }

  int shared_storage(int step, std::size_t result) const {
    const auto index = static_cast<std::size_t>(step);
    const Node& node = program_.nodes[index];
    if (node.inputs.empty()) return -1;
    const auto input = static_cast<std::size_t>(node.inputs[0]);
    const int storage = out_.storage[input];
    if (changes_nothing(node.op) || storage < 0) return storage;
    const bool are_both_values = !inference_.grids()[input] && !inference_.grids()[result];
    const bool is_last = out_.storages[static_cast<std::size_t>(storage)].last_step == step;
    return shares_ && may_overwrite(node.op) && are_both_values && is_last ? storage : -1;
  }

  const Program& program_;
  const Inference& inference_;
  Consumers consumers_;
  bool shares_;
  Folding folding_;
  Schedule out_;
};

}  // namespace

Schedule make_schedule(const Program& program, const Inference& inference, bool shares,
                       Folding folding) {
  Schedule schedule = Scheduler(program, inference, shares, folding).make();
  if (!shares) {
    for (LiveTensor& tensor : schedule.storages) {
      tensor.first_step = 0;
      tensor.last_step = static_cast<int>(program.nodes.size());
    }
  }
  return schedule;
}

}  // namespace coppice::runtime
