#include "deploy/runtime/engine.h"

#include <algorithm>  // for all_of
#include <cstdlib>    // for getenv
#include <string>     // for string

#include "deploy/runtime/assembly.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/profile.h"
#include "deploy/runtime/schedule.h"

namespace coppice::runtime {
namespace {

bool is_image(const Shape& shape) { return shape.size() == 3; }

// Whether an image's elements lie elsewhere than in the order of its shape.
bool is_permuted(const Shape& image) { return image[0] > 1 && image[1] * image[2] > 1; }

// Of every node's output; nothing if an op would meet a vector in an order that it cannot follow.
std::optional<std::vector<Order>> orders_of(const Program& program, const Inference& inference) {
  std::vector<Order> orders;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const Node& node = program.nodes[i];
    const Shape& shape = inference.shapes()[i];
    Order order;
    if (is_image(shape)) {
      order = shape;
    } else if (!node.inputs.empty()) {
      const Order& first = orders[static_cast<std::size_t>(node.inputs[0])];
      const bool is_kept = is_elementwise(node.op) || changes_nothing(node.op);
      for (const std::int32_t input : node.inputs) {
        const auto at = static_cast<std::size_t>(input);
        const bool reads_vector = !is_image(inference.shapes()[at]) && !orders[at].empty();
        if (reads_vector && node.op != Op::linear && !(is_kept && orders[at] == first))
          return std::nullopt;
        if (is_kept && orders[at] != first) return std::nullopt;
      }
      if (is_kept && !first.empty() && is_permuted(first)) order = first;
    }
    orders.push_back(std::move(order));
  }
  const bool ends_in_order = orders.back().empty() || is_image(inference.shapes().back());
  return ends_in_order ? std::optional(std::move(orders)) : std::nullopt;
}

// Whether images with their padding stay within a tensor's limit: a small file may ask for
// gigabytes of border.
bool has_modest_padding(const Program& program, const Inference& inference) {
  return std::ranges::all_of(program.nodes, [&](const Node& node) {
    if (node.op != Op::conv2d && node.op != Op::max_pool2d) return true;
    const Shape& image = inference.shapes()[static_cast<std::size_t>(node.inputs[0])];
    const std::int64_t pixels = (image[1] + 2 * node.padding[0]) * (image[2] + 2 * node.padding[1]);
    return pixels <= kMaxElements / image[0];
  });
}

// An image in the order of its shape with its channels innermost.
template <typename To, typename Convert>
void bring_innermost(const Shape& image, const float* from, To* to, Convert convert) {
  const std::int64_t channels = image[0];
  const std::int64_t pixels = image[1] * image[2];
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t p = 0; p < pixels; ++p) to[p * channels + c] = convert(from[c * pixels + p]);
  }
}

void run_reference(const EngineStep& step) { step.step.run(step.step); }

}  // namespace

const kernels::IntegerKernels& chosen_kernels() {
  const auto all = kernels::all_integer_kernels();
  const char* name = std::getenv("COPPICE_ISA");
  if (name == nullptr || *name == '\0') return *all.front();
  std::string known;
  for (const kernels::IntegerKernels* one : all) {
    if (std::string_view(one->isa) == name) return *one;
    known += (known.empty() ? "" : ", ") + std::string(one->isa);
  }
  fail("COPPICE_ISA: expected one of ", known, " on this processor, got '", name, "'");
}

Engine::Engine(Program program, const kernels::IntegerKernels& kernels)
    : program_(std::move(program)), kernels_(&kernels) {
  const Inference inference = infer(program_);
  std::optional<std::vector<Order>> orders;
  if (program_.input.type == ElementType::kFloat32 && has_modest_padding(program_, inference))
    orders = orders_of(program_, inference);
  if (orders) {
    build(inference, *orders);
  } else {
    reference_.emplace(std::move(program_));
  }
}

void Engine::build(const Inference& inference, std::span<const Order> orders) {
  const Schedule schedule = make_schedule(program_, inference, true);
  std::vector<LiveTensor> memory = schedule.storages;  // and the scratch of every step
  for (std::size_t i = 0; i < program_.nodes.size(); ++i) {
    const Node& node = program_.nodes[i];
    if (schedule.produces[i] < 0 || run_of(node.op) == nullptr) continue;
    const auto output = static_cast<std::size_t>(schedule.produces[i]);
    EngineStep& step = steps_.emplace_back();
    step.step = prepared_step(program_, inference, i, output);
    step.kernels = kernels_;
    const std::size_t input = static_cast<std::size_t>(node.inputs[0]);
    const Shape& shape = inference.shapes()[input];
    step.run = is_image(shape) ? image_loop(node.op) : nullptr;
    if (step.run == nullptr) {
      step.run = run_reference;
    } else {
      step.step.scratch_bytes = image_scratch_bytes(node, shape);
    }
    if (node.op == Op::conv2d) prepare_convolution(step, inference);
    if (node.op == Op::linear) prepare_matrix(step, inference, orders[input]);
    memory.push_back({step.step.scratch_bytes, static_cast<int>(i), static_cast<int>(i)});
  }
  const ArenaPlan plan = plan_arena(memory);
  arena_.resize(static_cast<std::size_t>(plan.bytes));
  tensors_ = placed_tensors(inference, schedule, plan, arena_);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s].step;
    const auto index = static_cast<std::size_t>(step.node - program_.nodes.data());
    step.scratch = arena_.data() + plan.offsets[schedule.storages.size() + s];
    for (const std::int32_t input : step.node->inputs)
      step.inputs.push_back(tensors_[static_cast<std::size_t>(input)]);
    step.output = tensors_[static_cast<std::size_t>(schedule.produces[index])];
  }
}

std::int64_t Engine::sample_size() const {
  return reference_ ? reference_->sample_size() : tensors_.front().size;
}

std::int64_t Engine::logit_count() const {
  return reference_ ? reference_->logit_count() : tensors_.back().size;
}

std::int64_t Engine::peak_activation_bytes() const {
  return reference_ ? reference_->peak_activation_bytes()
                    : static_cast<std::int64_t>(arena_.size());
}

void Engine::read_sample(const float* sample) {
  const Tensor& to = tensors_.front();
  if (!is_image(to.shape) || !is_permuted(to.shape)) {
    store(to, 0, to.size, sample);
  } else if (to.is_codes()) {
    bring_innermost(to.shape, sample, to.codes,
                    [&](float value) { return code_of(value, to.grid); });
  } else {
    bring_innermost(to.shape, sample, to.values, [](float value) { return value; });
  }
}

void Engine::run(std::span<const float> sample, std::span<float> logits) {
  if (reference_) return reference_->run(sample, logits);
  check_counts(sample.size(), sample_size(), logits.size(), logit_count());
  read_sample(sample.data());
  for (const EngineStep& step : steps_) step.run(step);
  const Tensor& last = tensors_.back();
  if (is_image(last.shape) && is_permuted(last.shape)) {
    const std::int64_t channels = last.shape[0];
    const std::int64_t pixels = last.size / channels;
    for (std::int64_t i = 0; i < last.size; ++i)
      logits[static_cast<std::size_t>(i % channels * pixels + i / channels)] = last.at(i);
  } else {
    load(last, 0, last.size, logits.data());
  }
}

std::vector<NodeTime> Engine::profile(std::span<const float> sample, std::int64_t runs) {
  if (reference_) return reference_->profile(sample, runs);
  check_counts(sample.size(), sample_size(), 0, 0);
  return profile_steps(
      program_, steps_, runs, [&] { read_sample(sample.data()); },
      [](const EngineStep& step) -> const Step& { return step.step; },
      [](const EngineStep& step) { step.run(step); });
}

}  // namespace coppice::runtime
