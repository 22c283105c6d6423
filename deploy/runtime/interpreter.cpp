#include "deploy/runtime/interpreter.h"

#include <algorithm>  // for nth_element
#include <chrono>     // for steady_clock

#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/schedule.h"

namespace coppice::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// 0 of nothing.
double median(std::vector<double>& values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

const Grid* pointer(const std::optional<Grid>& grid) { return grid ? &*grid : nullptr; }

std::vector<Tensor> tensors_of(const Inference& inference) {
  std::vector<Tensor> tensors(inference.shapes().size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].shape = inference.shapes()[i];
    tensors[i].size = element_count(tensors[i].shape);
    if (inference.grids()[i]) tensors[i].grid = *inference.grids()[i];
  }
  return tensors;
}

void place(Tensor& tensor, bool is_codes, std::byte* at) {
  if (is_codes) {
    tensor.codes = reinterpret_cast<std::uint8_t*>(at);
  } else {
    tensor.values = reinterpret_cast<float*>(at);
  }
}

// Node `index`, which writes the output of node `output`: itself or the relu that is folded into
// it.
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
  }
  return step;
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

Interpreter::Interpreter(Program program, Keep keep) : program_(std::move(program)), keep_(keep) {
  const Inference inference = infer(program_);
  if (program_.input.type != ElementType::kFloat32)
    fail("node '", program_.nodes[0].name, "': this version does not run inputs of ids");
  const Schedule schedule = make_schedule(program_, inference, keep == Keep::kNeeded);
  std::vector<LiveTensor> memory = schedule.storages;  // and the scratch of every step
  for (std::size_t i = 0; i < program_.nodes.size(); ++i) {
    if (schedule.produces[i] < 0 || run_of(program_.nodes[i].op) == nullptr) continue;
    const auto output = static_cast<std::size_t>(schedule.produces[i]);
    steps_.push_back(prepared_step(program_, inference, i, output));
    memory.push_back({steps_.back().scratch_bytes, static_cast<int>(i), static_cast<int>(i)});
  }
  const ArenaPlan plan = plan_arena(memory);
  arena_.resize(static_cast<std::size_t>(plan.bytes));
  tensors_ = tensors_of(inference);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (schedule.storage[i] < 0) continue;
    place(tensors_[i], inference.grids()[i].has_value(),
          arena_.data() + plan.offsets[static_cast<std::size_t>(schedule.storage[i])]);
  }
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

void Interpreter::check_sample(std::span<const float> sample) const {
  if (static_cast<std::int64_t>(sample.size()) != sample_size())
    fail("expected a sample of ", sample_size(), " values, got ", sample.size());
}

void Interpreter::run(std::span<const float> sample, std::span<float> logits) {
  check_sample(sample);
  if (static_cast<std::int64_t>(logits.size()) != logit_count())
    fail("expected room for ", logit_count(), " logits, got ", logits.size());
  store(tensors_.front(), 0, sample_size(), sample.data());
  for (const Step& step : steps_) step.run(step);
  load(tensors_.back(), 0, logit_count(), logits.data());
}

std::vector<NodeTime> Interpreter::profile(std::span<const float> sample, std::int64_t runs) {
  check_sample(sample);
  if (runs < 1) fail("expected at least one run to profile, got ", runs);
  std::vector<std::vector<double>> times(program_.nodes.size());  // in microseconds, by node
  for (std::int64_t i = 0; i < runs; ++i) {
    Clock::time_point before = Clock::now();
    const auto count = [&](std::size_t node) {
      const Clock::time_point now = Clock::now();
      times[node].push_back(std::chrono::duration<double, std::micro>(now - before).count());
      before = now;
    };
    store(tensors_.front(), 0, sample_size(), sample.data());
    count(0);
    for (const Step& step : steps_) {
      step.run(step);
      count(static_cast<std::size_t>(step.node - program_.nodes.data()));
    }
  }
  std::vector<NodeTime> out;
  for (std::size_t i = 0; i < times.size(); ++i)
    out.push_back({program_.nodes[i].name, median(times[i])});
  return out;
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
