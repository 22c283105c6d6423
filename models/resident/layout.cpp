#include "models/resident/layout.h"

#include <algorithm>   // for any_of, clamp, max, max_element, min, rotate, stable_sort
#include <functional>  // for greater

namespace coppice::resident {
namespace {

// Several chunks share each weight that is loaded; beyond this a block's values crowd each other
// out of the last cache.
constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20U;
constexpr std::int64_t kMostChunks = 4;
constexpr int kRearrangements = 50;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Something that needs memory at some moments.
struct Tenant {
  std::int64_t* offset;
  std::int64_t size;
  std::vector<Window> when;
};

bool meet(const std::vector<Window>& a, const std::vector<Window>& b) {
  return std::ranges::any_of(a, [&](const Window& mine) {
    return std::ranges::any_of(b, [&](const Window& other) {
      return mine.first <= other.last && other.first <= mine.last;
    });
  });
}

// The lowest offset at which `tenant` has nobody of `placed` in its way.
std::int64_t place(const std::vector<Tenant>& placed, const Tenant& tenant) {
  std::int64_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Tenant& other : placed) {
      const std::int64_t end = *other.offset + other.size;
      if (end <= offset || offset + tenant.size <= *other.offset || !meet(tenant.when, other.when))
        continue;
      offset = end;
      moved = true;
    }
  }
  return offset;
}

// The arena's end if all are placed in this order.
std::int64_t place_all(const std::vector<Tenant>& tenants) {
  std::vector<Tenant> placed;
  std::int64_t end = 0;
  for (const Tenant& tenant : tenants) {
    *tenant.offset = place(placed, tenant);
    end = std::max(end, *tenant.offset + tenant.size);
    placed.push_back(tenant);
  }
  return end;
}

// Places all, the largest first; then again and again with the one that reaches highest moved to
// the front, and keeps the best.
void settle(std::vector<Tenant> tenants) {
  std::ranges::stable_sort(tenants, std::ranges::greater{}, &Tenant::size);
  std::vector<Tenant> best = tenants;
  std::int64_t least = place_all(tenants);
  for (int i = 0; i < kRearrangements; ++i) {
    const auto highest = std::ranges::max_element(
        tenants, {}, [](const Tenant& tenant) { return *tenant.offset + tenant.size; });
    std::rotate(tenants.begin(), highest, highest + 1);
    const std::int64_t end = place_all(tenants);
    if (end >= least) continue;
    least = end;
    best = tenants;
  }
  place_all(best);
}

class Surveyor {
 public:
  Surveyor(const Graph& graph, const Draft& draft, std::int64_t lanes, std::int64_t micro_batch)
      : graph_(graph), draft_(draft), lanes_(lanes) {
    std::int64_t floats = 0;
    for (const Slot& slot : draft.slots()) floats += slot.elements * lanes;
    const auto chunk_bytes =
        std::max<std::int64_t>(floats * static_cast<std::int64_t>(sizeof(float)), 1);
    chunks_ = std::clamp<std::int64_t>(kBlockBytes / chunk_bytes, 1, kMostChunks);
    samples_ = chunks_ * lanes;
    if (micro_batch > 0) {
      samples_ = std::min(samples_, micro_batch);
      chunks_ = ceil_div(samples_, lanes);
    }
  }

  Layout run(const Lifetimes& lifetimes) {
    Layout out{
        .block_chunks = chunks_, .block_samples = samples_, .floats = 0, .slots = {}, .bits = {}};
    out.slots.resize(draft_.slots().size());
    out.bits.assign(draft_.steps().size(), -1);
    settle(tenants_of(lifetimes, out));
    for (const Tenant& tenant : tenants_of(lifetimes, out))
      out.floats = std::max(out.floats, *tenant.offset + tenant.size);
    return out;
  }

 private:
  std::vector<Tenant> tenants_of(const Lifetimes& lifetimes, Layout& out) const {
    std::vector<Tenant> tenants;
    for (std::size_t i = 0; i < out.slots.size(); ++i) {
      const Slot& slot = draft_.slots()[i];
      const SlotLife& life = lifetimes.slots[i];
      const std::int64_t size = (life.is_one_chunk ? slot.elements : registers_of(slot)) * lanes_;
      tenants.push_back({&out.slots[i].values, size, life.values});
      if (life.gradient) tenants.push_back({&out.slots[i].gradient, size, {*life.gradient}});
      if (!life.codes) continue;
      const CodeGroups groups = code_groups(slot, lanes_, chunks_, samples_);
      tenants.push_back({&out.slots[i].codes, groups.count * groups.floats(lanes_), {*life.codes}});
    }
    for (std::size_t s = 0; s < out.bits.size(); ++s) {
      const std::optional<Window>& window = lifetimes.steps[s].bits;
      if (window) tenants.push_back({&out.bits[s], bits_floats(lifetimes, s), {*window}});
    }
    return tenants;
  }

  std::int64_t registers_of(const Slot& slot) const {
    if (!slot.has_channels_innermost) return chunks_ * slot.elements;
    return ceil_div(samples_ * slot.elements, lanes_);
  }

  std::int64_t bits_floats(const Lifetimes& lifetimes, std::size_t s) const {
    const StepDraft& step = draft_.steps()[s];
    const Slot& output = draft_.slots()[step.output];
    const Node& node = graph_.nodes()[step.node];
    const bool keeps_winners = !step.grid && node.op == OpKind::max_pool2d;
    const std::int64_t a_word = keeps_winners ? 32 / winner_bits(node) : 32;
    const bool is_by_chunk =
        lifetimes.steps[s].is_pooled || (s > 0 && lifetimes.steps[s - 1].is_pooled);
    if (is_by_chunk) return chunks_ * ceil_div(output.elements, a_word) * lanes_;
    if (keeps_winners && output.has_channels_innermost)
      return samples_ * ceil_div(output.elements / lanes_, a_word) * lanes_;
    return ceil_div(registers_of(output), a_word) * lanes_;
  }

  const Graph& graph_;
  const Draft& draft_;
  std::int64_t lanes_;
  std::int64_t chunks_ = 1;
  std::int64_t samples_ = 1;
};

}  // namespace

CodeGroups code_groups(const Slot& slot, std::int64_t lanes, std::int64_t chunks,
                       std::int64_t samples) {
  if (!slot.has_channels_innermost) return {.count = chunks, .registers = slot.elements};
  if (slot.elements % lanes == 0) return {.count = samples, .registers = slot.elements / lanes};
  return {.count = 1, .registers = ceil_div(samples * slot.elements, lanes)};
}

Layout lay_out(const Graph& graph, const Draft& draft, const Lifetimes& lifetimes,
               std::int64_t lanes, std::int64_t micro_batch) {
  return Surveyor(graph, draft, lanes, micro_batch).run(lifetimes);
}

}  // namespace coppice::resident
