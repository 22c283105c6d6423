#include "deploy/runtime/engine.h"

#include <algorithm>    // for all_of, max, min
#include <cstdlib>      // for getenv
#include <cstring>      // for memcpy
#include <map>          // for map
#include <string>       // for string
#include <type_traits>  // for remove_reference_t
#include <utility>      // for move

#include "deploy/runtime/assembly.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/operand.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/profile.h"
#include "deploy/runtime/schedule.h"

namespace coppice::runtime {
namespace {

bool is_image(const Shape& shape) { return shape.size() == 3; }

// Whether an image's elements lie elsewhere than in the order of its shape.
bool is_permuted(const Shape& image) { return image[0] > 1 && image[1] * image[2] > 1; }

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

void put(WeightStore& store, const void* from, std::size_t bytes) {
  constexpr std::size_t kLine = sizeof(WeightStore::Line);
  static_assert(kLine >= kernels::kSpareWeightBytes);
  const std::size_t first = store.lines.size();
  store.first_line.push_back(first);
  store.lines.resize(first + bytes / kLine + 2);
  if (bytes != 0) std::memcpy(store.lines[first].bytes, from, bytes);
}

// Moves the weights out of `program`.
std::shared_ptr<const WeightStore> taken_weights(Program& program, const Inference& inference) {
  auto store = std::make_shared<WeightStore>();
  for (Node& node : program.nodes) {
    if (inference.counts(node).row == 0) {
      store->first_line.push_back(0);
    } else if (inference.is_integer(node)) {
      put(*store, node.weights.codes.data(), node.weights.codes.size());
    } else {
      const std::vector<float> values = values_of(node.weights, product_shape(node, inference));
      put(*store, values.data(), values.size() * sizeof(float));
    }
    node.weights.codes = {};
    node.weights.values = {};
  }
  return store;
}

void run_reference(const EngineStep& step) { step.step.run(step.step); }

// Of the strips of one thread, all steps'.
std::int64_t largest_strip(const std::vector<EngineStep>& steps) {
  std::int64_t bytes = 0;
  for (const EngineStep& step : steps) {
    if (step.strip_rows > 0 || !step.before.empty())
      bytes = std::max(bytes, aligned(step.step.scratch_bytes));
  }
  return bytes;
}

// A step among threads.
struct Division {
  const EngineStep& step;
  std::int64_t shares;
  std::byte* strips;  // of all threads but the first
  std::int64_t strip_bytes;
};

void run_share(const void* work, std::int64_t share, std::int64_t thread) {
  const auto& [step, shares, strips, strip_bytes] = *static_cast<const Division*>(work);
  std::byte* strip = thread == 0 ? step.step.scratch : strips + (thread - 1) * strip_bytes;
  step.run_part(step, step.units * share / shares, step.units * (share + 1) / shares, strip);
}

// More than there are threads, for one may be late, but none too small.
std::int64_t share_count(const EngineStep& step, std::int64_t threads, std::int64_t least_work) {
  constexpr std::int64_t kSharesOfThread = 4;
  const std::int64_t worth = least_work == 0 ? step.units : 2 * step.work / least_work;
  return std::min({step.units, worth, kSharesOfThread * threads});
}

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

Engine::Engine(Program program, const kernels::IntegerKernels& kernels) : kernels_(&kernels) {
  const Inference inference = infer(program);
  if (program.input.type == ElementType::kFloat32 && has_modest_padding(program, inference) &&
      inference.follows_orders()) {
    build(std::move(program), inference);
  } else {
    reference_.emplace(std::move(program));
  }
}

Engine::Engine(const Engine& other)
    : program_(other.program_),
      weights_(other.weights_),
      kernels_(other.kernels_),
      arena_(other.arena_),
      tensors_(other.tensors_),
      steps_(other.steps_) {
  if (other.reference_) reference_.emplace(other.reference_->program());
  const auto move = [&](auto*& pointer) {
    using Pointer = std::remove_reference_t<decltype(pointer)>;
    if (pointer == nullptr) return;
    const auto offset = reinterpret_cast<const std::byte*>(pointer) - other.arena_.data();
    pointer = reinterpret_cast<Pointer>(arena_.data() + offset);
  };
  const auto move_tensor = [&](Tensor& tensor) {
    move(tensor.codes);
    move(tensor.values);
  };
  for (Tensor& tensor : tensors_) move_tensor(tensor);
  const auto move_step = [&](EngineStep& step) {
    for (Tensor& input : step.step.inputs) move_tensor(input);
    move_tensor(step.step.output);
    move(step.step.scratch);
  };
  for (EngineStep& step : steps_) {
    move_step(step);
    for (EngineStep& first : step.before) move_step(first);
  }
  set_threads(other.threads(), other.least_work_);
}

void Engine::build(Program program, const Inference& inference) {
  program =
      laid_out(std::move(program), inference, [](const Node& node, const ProductShape& shape) {
        return node.weights.layout == Layout::kRows ? dense_layout(shape) : node.weights.layout;
      });
  const Schedule schedule = make_schedule(program, inference, true, Folding::kAll);
  weights_ = taken_weights(program, inference);
  program_ = std::make_shared<const Program>(std::move(program));
  std::vector<LiveTensor> memory = schedule.storages;  // and the scratch of every step
  add_steps(inference, schedule, memory);
  const ArenaPlan plan = plan_arena(memory);
  arena_.resize(static_cast<std::size_t>(plan.bytes));
  tensors_ = placed_tensors(inference, schedule, plan, arena_);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    EngineStep& step = steps_[s];
    step.step.scratch = arena_.data() + plan.offsets[schedule.storages.size() + s];
    place(step, schedule);
    for (EngineStep& first : step.before) place(first, schedule);
    if (step.run_part != nullptr) plan_division(step);
  }
}

// Gives it its tensors.
void Engine::place(EngineStep& step, const Schedule& schedule) {
  const Node* node = step.step.node;
  const auto index = static_cast<std::size_t>(node - program_->nodes.data());
  for (const std::int32_t input : node->inputs)
    step.step.inputs.push_back(tensors_[static_cast<std::size_t>(input)]);
  step.step.output = tensors_[static_cast<std::size_t>(schedule.produces[index])];
}

EngineStep Engine::planned_step(const Inference& inference, std::size_t index,
                                std::size_t output) const {
  const Node& node = program_->nodes[index];
  EngineStep step;
  step.step = prepared_step(*program_, inference, index, output);
  step.kernels = kernels_;
  const std::size_t input = static_cast<std::size_t>(node.inputs[0]);
  const Shape& shape = inference.shapes()[input];
  step.run = is_image(shape) ? image_loop(node.op) : nullptr;
  if (is_elementwise(node.op)) step.run = run_elementwise;
  if (step.run == nullptr) {
    step.run = run_reference;
  } else {
    step.step.scratch_bytes =
        image_scratch_bytes(node, shape, inference.grids()[input].has_value());
  }
  if (node.op == Op::conv2d || node.op == Op::linear) {
    step.shape = product_shape(node, inference);
    const std::byte* at = weights_->lines[weights_->first_line[index]].bytes;
    step.codes = reinterpret_cast<const std::int8_t*>(at);
    step.values = reinterpret_cast<const float*>(at);
    plan_product(step, inference);
  }
  return step;
}

void Engine::add_steps(const Inference& inference, const Schedule& schedule,
                       std::vector<LiveTensor>& memory) {
  std::map<int, EngineStep> waiting;  // those that are computed with a later node, by that
  for (std::size_t i = 0; i < program_->nodes.size(); ++i) {
    const Node& node = program_->nodes[i];
    if (schedule.produces[i] < 0 || run_of(node.op) == nullptr) continue;
    EngineStep step = planned_step(inference, i, static_cast<std::size_t>(schedule.produces[i]));
    if (schedule.fused_into[i] >= 0) {
      waiting.emplace(schedule.fused_into[i], std::move(step));
      continue;
    }
    const int index = static_cast<int>(i);
    if (auto first = waiting.extract(index)) {
      const std::int32_t image = first.mapped().step.node->inputs[0];
      join_pointwise(step, std::move(first.mapped()),
                     inference.shapes()[static_cast<std::size_t>(image)]);
    }
    memory.push_back({step.step.scratch_bytes, index, index});
    steps_.push_back(std::move(step));
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
                    : static_cast<std::int64_t>(arena_.size() + strips_.size());
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

void Engine::set_threads(std::int64_t threads, std::int64_t least_work) {
  if (threads < 1 || threads > kMaxThreads)
    fail("expected from 1 to ", kMaxThreads, " threads, got ", threads);
  least_work_ = least_work;
  if (reference_ || threads == this->threads()) return;
  auto workers = threads == 1 ? nullptr : std::make_unique<Workers>(threads);
  strips_.resize(static_cast<std::size_t>((threads - 1) * largest_strip(steps_)));
  workers_ = std::move(workers);
}

void Engine::run_step(const EngineStep& step) {
  if (step.run_part == nullptr) return step.run(step);
  if (step.bring != nullptr) step.bring(step);
  if (!workers_ || step.units < 2 || step.work < least_work_)
    return step.run_part(step, 0, step.units, step.step.scratch);
  const std::int64_t threads = workers_->threads();
  const Division division{step, share_count(step, threads, least_work_), strips_.data(),
                          static_cast<std::int64_t>(strips_.size()) / (threads - 1)};
  workers_->run(run_share, &division, division.shares);
}

void Engine::run(std::span<const float> sample, std::span<float> logits) {
  if (reference_) return reference_->run(sample, logits);
  check_counts(sample.size(), sample_size(), logits.size(), logit_count());
  read_sample(sample.data());
  for (const EngineStep& step : steps_) run_step(step);
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
      *program_, steps_, runs, [&] { read_sample(sample.data()); },
      [](const EngineStep& step) -> const Step& { return step.step; },
      [&](const EngineStep& step) { run_step(step); });
}

}  // namespace coppice::runtime
