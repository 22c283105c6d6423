#include "deploy/runtime/interpreter.h"

#include <algorithm>  // for find

#include "deploy/runtime/assembly.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/profile.h"
#include "deploy/runtime/schedule.h"

namespace coppice::runtime {

Interpreter::Interpreter(Program program, Keep keep) : keep_(keep) {
  const Inference inference = infer(program);
  program_ = in_rows(std::move(program), inference);
  if (program_.input.type != ElementType::kFloat32)
    fail("node '", program_.nodes[0].name, "': this version does not run inputs of ids");
  const Schedule schedule = make_schedule(program_, inference, keep == Keep::kNeeded);
  std::vector<LiveTensor> memory = schedule.storages;  // and the scratch of every step
  for (std::size_t i = 0; i < program_.nodes.size(); ++i) {
    if (schedule.produces[i] < 0 || run_of(program_.nodes[i].op) == nullptr) continue;
    const auto output = static_cast<std::size_t>(schedule.produces[i]);
    steps_.push_back(prepared_step(program_, inference, i, output));
    const Weights& weights = program_.nodes[i].weights;
    if (weights.bits != 32 && !inference.is_integer(program_.nodes[i]))
      steps_.back().weights = values_of(weights, product_shape(program_.nodes[i], inference));
    memory.push_back({steps_.back().scratch_bytes, static_cast<int>(i), static_cast<int>(i)});
  }
  const ArenaPlan plan = plan_arena(memory);
  arena_.resize(static_cast<std::size_t>(plan.bytes));
  tensors_ = placed_tensors(inference, schedule, plan, arena_);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    const auto index = static_cast<std::size_t>(step.node - program_.nodes.data());
    step.scratch = arena_.data() + plan.offsets[schedule.storages.size() + s];
    for (const std::int32_t input : step.node->inputs)
      step.inputs.push_back(tensors_[static_cast<std::size_t>(input)]);
    step.output = tensors_[static_cast<std::size_t>(schedule.produces[index])];
  }
}

std::int64_t Interpreter::sample_size() const { return tensors_.front().size; }
std::int64_t Interpreter::logit_count() const { return tensors_.back().size; }

std::int64_t Interpreter::peak_activation_bytes() const {
  return static_cast<std::int64_t>(arena_.size());
}

void Interpreter::run(std::span<const float> sample, std::span<float> logits) {
  check_counts(sample.size(), sample_size(), logits.size(), logit_count());
  store(tensors_.front(), 0, sample_size(), sample.data());
  for (const Step& step : steps_) step.run(step);
  load(tensors_.back(), 0, logit_count(), logits.data());
}

std::vector<NodeTime> Interpreter::profile(std::span<const float> sample, std::int64_t runs) {
  check_counts(sample.size(), sample_size(), 0, 0);
  return profile_steps(
      program_, steps_, runs, [&] { store(tensors_.front(), 0, sample_size(), sample.data()); },
      [](const Step& step) -> const Step& { return step; },
      [](const Step& step) { step.run(step); });
}

const Tensor& Interpreter::kept(std::string_view node) const {
  if (keep_ != Keep::kAll) fail("tensors are not kept");
  const auto found = std::ranges::find(program_.nodes, node, &Node::name);
  if (found == program_.nodes.end()) fail("no node is named '", node, "'");
  return tensors_[static_cast<std::size_t>(found - program_.nodes.begin())];
}

std::span<const std::uint8_t> Interpreter::codes(std::string_view node) const {
  const Tensor& tensor = kept(node);
  if (tensor.codes == nullptr) fail("node '", node, "' has no codes");
  return {tensor.codes, static_cast<std::size_t>(tensor.size)};
}

std::span<const float> Interpreter::values(std::string_view node) const {
  const Tensor& tensor = kept(node);
  if (tensor.values == nullptr) fail("node '", node, "' has no values");
  return {tensor.values, static_cast<std::size_t>(tensor.size)};
}

}  // namespace coppice::runtime
