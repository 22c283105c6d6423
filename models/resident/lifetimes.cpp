#include "models/resident/lifetimes.h"

#include <algorithm>  // for count, max, min
#include <bit>        // for bit_width

namespace coppice::resident {
namespace {

constexpr std::int64_t kWidestField = 16;

bool is_rectifier(OpKind op) {
  return op == OpKind::relu || op == OpKind::relu6 || op == OpKind::leaky_relu;
}

// What a step's backward reads of values.
struct Reads {
  bool input_as_factor = false;  // of the gradient of weights: codes will do
  bool input = false;            // as they were
  bool input_or_bits = false;    // or bits of the step's own
  bool output_or_bits = false;
};

Reads reads_of(const Graph& graph, const StepDraft& step) {
  if (step.image) return {};
  if (step.grid) return {.input_or_bits = true};
  const Node& node = graph.nodes()[step.node];
  Reads reads{.output_or_bits = step.has_relu || is_rectifier(node.op)};
  reads.input_as_factor = node.op == OpKind::conv2d || node.op == OpKind::linear;
  reads.input = node.op == OpKind::group_norm;
  if (node.op == OpKind::max_pool2d) {
    reads.input_or_bits = winner_bits(node) <= kWidestField;
    reads.output_or_bits = reads.input_or_bits;
    reads.input = !reads.input_or_bits;
  }
  return reads;
}

class Analysis {
 public:
  Analysis(const Graph& graph, const Draft& draft, const PlanOptions& options)
      : graph_(graph), draft_(draft), memory_(options.memory), trains_(options.trains) {
    out_.slots.resize(draft.slots().size());
    out_.steps.resize(draft.steps().size());
    for (const StepDraft& step : draft.steps()) reads_.push_back(reads_of(graph, step));
    demands_.resize(draft.slots().size());
  }

  Lifetimes run() {
    for (std::size_t s = 0; s < reads_.size(); ++s) collect(s);
    for (Demand& demand : demands_) {
      demand.is_coded =
          memory_.saved_bits == 8 && demand.factor.has_value() && !demand.exact.has_value();
    }
    for (std::size_t s = 0; s + 1 < reads_.size(); ++s) out_.steps[s].is_pooled = can_pool(s);
    for (std::size_t s = 0; s < reads_.size(); ++s) choose_bits(s);
    for (std::size_t i = 0; i < demands_.size(); ++i) live(i);
    for (std::size_t s = 0; s < reads_.size(); ++s) {
      if (out_.steps[s].is_pooled) join(s);
    }
    return std::move(out_);
  }

 private:
  // The moments at which backward steps read a slot's values.
  struct Demand {
    std::optional<Window> factor;
    std::optional<Window> exact;
    bool is_coded = false;

    bool is_kept() const { return exact || (factor && !is_coded); }
  };

  std::size_t backward_of(std::size_t step) const { return 2 * reads_.size() - step; }
  bool is_backward(std::size_t step) const {
    return trains_ && draft_.slots()[draft_.steps()[step].output].has_gradient;
  }

  static void extend(std::optional<Window>& window, std::size_t moment) {
    if (!window) window = Window{moment, moment};
    window->first = std::min(window->first, moment);
    window->last = std::max(window->last, moment);
  }

  void collect(std::size_t s) {
    if (!is_backward(s)) return;
    for (const std::size_t input : draft_.steps()[s].inputs) {
      if (reads_[s].input_as_factor) extend(demands_[input].factor, backward_of(s));
      if (reads_[s].input) extend(demands_[input].exact, backward_of(s));
    }
    if (reads_[s].input && graph_.nodes()[draft_.steps()[s].node].op == OpKind::max_pool2d)
      extend(demands_[draft_.steps()[s].output].exact, backward_of(s));
  }

  bool can_pool(std::size_t s) const {
    const StepDraft& step = draft_.steps()[s];
    const StepDraft& next = draft_.steps()[s + 1];
    const Slot& between = draft_.slots()[step.output];
    const Demand& demand = demands_[step.output];
    return memory_.fused_pools && !step.grid && !step.image && !next.grid && !next.image &&
           graph_.nodes()[step.node].op == OpKind::conv2d &&
           graph_.nodes()[next.node].op == OpKind::max_pool2d && !between.has_channels_innermost &&
           next.inputs[0] == step.output && readers(step.output) == 1 && !demand.exact &&
           !demand.factor;
  }
  std::int64_t readers(std::size_t slot) const {
    std::int64_t count = 0;
    for (const StepDraft& step : draft_.steps()) count += std::ranges::count(step.inputs, slot);
    return count;
  }

  // Both steps run at the first one's moments.
  void join(std::size_t s) {
    SlotLife& between = out_.slots[draft_.steps()[s].output];
    SlotLife& output = out_.slots[draft_.steps()[s + 1].output];
    between.is_one_chunk = true;
    between.values = {{s, s}};
    if (between.gradient) between.gradient = Window{backward_of(s), backward_of(s)};
    output.values[0].first = s;
    if (output.gradient) output.gradient->last = backward_of(s);
    std::optional<Window>& winners = out_.steps[s + 1].bits;
    if (winners) winners = Window{s, backward_of(s)};
  }

  // Bits where they let values go, or have to stand in for values that become codes. A step that
  // keeps none reads values as they were.
  void choose_bits(std::size_t s) {
    const StepDraft& step = draft_.steps()[s];
    if (!is_backward(s)) return;
    std::vector<std::size_t> read;
    if (reads_[s].input_or_bits) read.push_back(step.inputs[0]);
    if (reads_[s].output_or_bits) read.push_back(step.output);
    const bool is_joined = out_.steps[s].is_pooled || (s > 0 && out_.steps[s - 1].is_pooled);
    bool has_bits = is_joined && !read.empty();
    for (const std::size_t slot : read) {
      has_bits =
          has_bits || demands_[slot].is_coded || (memory_.relu_bits && !demands_[slot].is_kept());
    }
    if (has_bits) {
      out_.steps[s].bits = Window{s, backward_of(s)};
      return;
    }
    for (const std::size_t slot : read) extend(demands_[slot].exact, backward_of(s));
  }

  void live(std::size_t i) {
    const Slot& slot = draft_.slots()[i];
    const Demand& demand = demands_[i];
    SlotLife& life = out_.slots[i];
    const std::size_t loss = reads_.size();
    const bool is_output = i == draft_.slot_of_node().back();
    const std::size_t read = is_output ? loss : slot.last_step;
    if (slot.has_gradient && trains_) {
      life.gradient =
          Window{is_output ? loss : backward_of(slot.last_step), backward_of(slot.first_step)};
    }
    life.values = {{slot.first_step, read}};
    if (trains_ && !shares_places()) {
      life.values = {{0, backward_of(0)}};
    } else if (demand.is_coded) {
      life.codes = Window{read, demand.factor->first};
      life.values.push_back(*demand.factor);
    } else {
      if (demand.factor) life.values[0].last = std::max(read, demand.factor->last);
      if (demand.exact) life.values[0].last = std::max(life.values[0].last, demand.exact->last);
    }
  }

  // Without a lever that sheds values each has a place of its own.
  bool shares_places() const {
    return memory_.relu_bits || memory_.saved_bits == 8 || memory_.freeze_first > 0 ||
           memory_.fused_pools;
  }

  const Graph& graph_;
  const Draft& draft_;
  MemorySpec memory_;
  bool trains_;
  std::vector<Reads> reads_;     // by step
  std::vector<Demand> demands_;  // by slot
  Lifetimes out_;
};

}  // namespace

std::int64_t winner_bits(const Node& pool) {
  const Pair& kernel = pool.attributes.kernel;
  const auto positions = static_cast<std::uint64_t>(kernel[0] * kernel[1]);
  return std::max<std::int64_t>(1, std::bit_width(positions - 1));
}

Lifetimes lifetimes(const Graph& graph, const Draft& draft, const PlanOptions& options) {
  return Analysis(graph, draft, options).run();
}

}  // namespace coppice::resident
