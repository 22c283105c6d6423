#include "coordinator/allocation.h"

#include <algorithm>   // for any_of, max, min, stable_sort
#include <cmath>       // for abs, ceil, exp, log, pow
#include <functional>  // for function
#include <span>        // for span
#include <string>      // for string
#include <utility>     // for move
#include <vector>      // for vector

#include "algorithms/quantize.h"
#include "algorithms/regrowth.h"
#include "coordinator/pruning.h"
#include "coordinator/quantization.h"
#include "coordinator/storage_costs.h"
#include "core/checkpoint.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/file_bytes.h"
#include "deploy/latency_of_weights.h"

namespace coppice {
namespace {

constexpr int kTableRangeBits = 12;  // a loss grows by less than 4,096

// Weights whose codes are not zero, by rising magnitude (ties: the lower index).
std::vector<std::int64_t> smallest_first(const ServerState& state) {
  std::vector<std::int64_t> order;
  for (const WeightQuant& quant : state.plan.weights) {
    const ParameterSpec spec = blocked_spec(state.graph, quant.parameter);
    const std::vector<std::int8_t> codes =
        weight_codes(part_of<const float>(state.parameters, spec), quant);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] != 0) order.push_back(spec.offset + static_cast<std::int64_t>(i));
    }
  }
  std::ranges::stable_sort(order, {}, [&](std::int64_t index) {
    return std::abs(state.parameters[static_cast<std::size_t>(index)]);
  });
  return order;
}

// Of the whole model, if the choice were taken as it is counted.
ModelAllotment of_model(Allotment allotment, const StorageCosts& storage,
                        const AllocationProblem& problem) {
  ModelAllotment out{std::move(allotment)};
  out.file_bytes = *storage.others().bytes + out.bytes;
  std::vector<Candidate> chosen;
  for (std::size_t t = 0; t < problem.tensors.size(); ++t)
    chosen.push_back(storage.of(t, out.candidates[t]));
  out.layers = explain(problem, out, chosen, storage.has_times());
  if (!storage.has_times()) return out;
  out.microseconds = storage.others().microseconds;
  for (const Candidate& candidate : chosen) *out.microseconds += candidate.microseconds;
  return out;
}

// What is left of a limit for the weights, and `slack` of what their largest choice takes beyond
// that.
template <typename Cost>
std::optional<Cost> left_of(const std::optional<Cost>& limit, Cost others, Cost largest,
                            double slack) {
  if (!limit) return std::nullopt;
  const Cost room = *limit - others;
  const Cost beyond = std::max(Cost{0}, largest - room);
  return std::max(Cost{0}, room + static_cast<Cost>(slack * static_cast<double>(beyond)));
}

// What the weights take at most.
double slowest(std::span<const LayerCandidates> costs) {
  double sum = 0.0;
  for (const LayerCandidates& layer : costs)
    sum += std::ranges::max(layer, {}, &Candidate::microseconds).microseconds;
  return sum;
}

Budget budget_of(const AllocationTarget& target, const Budget& others,
                 std::span<const LayerCandidates> costs) {
  std::int64_t most_bytes = 0;
  for (const LayerCandidates& layer : costs)
    most_bytes += std::ranges::max(layer, {}, &Candidate::bytes).bytes;
  return {.bytes = left_of(target.budget.bytes, *others.bytes, most_bytes, target.slack),
          .microseconds = left_of(target.budget.microseconds, *others.microseconds, slowest(costs),
                                  target.slack)};
}

constexpr std::int64_t kReachableFiles = 12;
constexpr double kMostTrimming = 1.5;

// Files from the smallest that `costs` allow to the largest, each a fixed factor larger than the
// one before; where several budgets give one choice, once.
std::vector<ReachableFile> reachable_files(std::span<const LayerCandidates> costs,
                                           std::int64_t other_bytes) {
  std::int64_t least = 0;
  std::int64_t most = 0;
  for (const LayerCandidates& layer : costs) {
    const auto [smallest, largest] = std::ranges::minmax(layer, {}, &Candidate::bytes);
    least += smallest.bytes;
    most += largest.bytes;
  }
  const double growth = std::log(static_cast<double>(std::max<std::int64_t>(1, most)) /
                                 static_cast<double>(std::max<std::int64_t>(1, least)));
  std::vector<std::int64_t> budgets;
  for (std::int64_t i = 0; i < kReachableFiles; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(kReachableFiles - 1);
    budgets.push_back(i == 0 ? least
                             : static_cast<std::int64_t>(std::ceil(static_cast<double>(least) *
                                                                   std::exp(growth * share))));
  }
  std::vector<ReachableFile> out;
  for (const Allocation& allocation : frontier(costs, budgets)) {
    const ReachableFile file{other_bytes + allocation.bytes, allocation.loss};
    if (out.empty() || file.bytes > out.back().bytes) out.push_back(file);
  }
  return out;
}

// Masks what the allotment does not keep, and removes the channels that go; what was masked before
// stays so. Returns whether any channels went.
bool take(ServerState& state, const StorageCosts& storage, const SenseRequest& request,
          const Allotment& allotment) {
  if (state.mask.size() == 0) state.mask = Mask(state.graph.parameter_count());
  state.weight_bits.clear();
  const auto is_narrower = [](const WeightCandidate& one) { return one.channels < 1.0; };
  const bool is_any_narrower = std::ranges::any_of(allotment.candidates, is_narrower);
  const Coupling& coupling = storage.widths().coupling();
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
  for (std::size_t p = 0; p < request.parameters.size(); ++p) {
    const ParameterSpec spec = blocked_spec(state.graph, request.parameters[p]);
    const WeightCandidate& chosen = allotment.candidates[p];
    const Mask kept = storage.mask(p, chosen);
    for (std::int64_t i = 0; i < kept.size(); ++i) {
      const bool was_kept = state.mask.keeps(spec.offset + i);
      state.mask.set(spec.offset + i, was_kept && kept.keeps(i));
    }
    if (is_narrower(chosen)) storage.widths().remove(spec.name, chosen.channels, keep);
    state.weight_bits.push_back(chosen.bits);
  }
  state.mask.apply(state.parameters);
  ++state.mask_epoch;
  if (!is_any_narrower) return false;
  remove_units(state, coupling, keep);
  if (!state.plan.is_empty())
    state.plan.weights = weight_grids(state.graph, state.parameters, state.weight_bits);
  return true;
}

// Once channels are gone: what the layers that read them, and all that belonged to them, take less.
void count_again(const ServerState& state, const SenseRequest& request,
                 const LatencyTable* latencies, ModelAllotment& allotment) {
  SenseRequest as_they_are;
  as_they_are.parameters = request.parameters;
  const StorageCosts storage(state, as_they_are, latencies);
  allotment.file_bytes = *storage.others().bytes;
  if (storage.has_times()) allotment.microseconds = storage.others().microseconds;
  for (std::size_t p = 0; p < request.parameters.size(); ++p) {
    const Candidate as_it_is = storage.of(p, {.bits = allotment.candidates[p].bits});
    allotment.file_bytes += as_it_is.bytes;
    if (storage.has_times()) *allotment.microseconds += as_it_is.microseconds;
  }
}

// What is counted again is of these alone.
ServerState model_of(const ServerState& state) {
  ServerState out;
  out.graph = state.graph;
  out.parameters = state.parameters;
  out.mask = state.mask;
  out.plan = state.plan;
  return out;
}

struct WeightMicroseconds {
  double others = 0.0;   // of what is no weight's
  double largest = 0.0;  // of the weights
};

// Narrower layers take less together than one by one, as the choice counts them: so a choice for
// more than `limit` microseconds of weights may keep it. Of those that do, the one for the most, as
// if a choice took the longer the more it may; whatever is found was counted. `first` is that for
// the limit itself, `within` chooses for any.
ModelAllotment use_time(ModelAllotment first, double limit, const WeightMicroseconds& known,
                        const std::function<ModelAllotment(double)>& within) {
  constexpr int kHalvings = 8;
  double low = limit;
  double high = std::max(limit, known.largest);
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = low + (high - low) / 2.0;
    ModelAllotment tried = within(middle);
    if (tried.fits && *tried.microseconds > known.others + limit) {
      high = middle;
      continue;
    }
    low = middle;  // also where there is no choice at all for so little
    const bool is_better =
        tried.fits && (!first.fits || tried.predicted_loss <= first.predicted_loss);
    if (is_better) first = std::move(tried);
  }
  return first;
}

void check_widths(const AllocateConfig& allocate, const Allocator& allocator, const Graph& graph) {
  if (allocate.channel_shares.empty()) return;
  const auto refuse = [](const auto&... parts) {
    throw ConfigError(text("compress.allocate.channel_shares: ", parts...));
  };
  if (!allocator.knows_widths())
    refuse("allocator '", allocate.allocator, "' gives layers no widths; take joint, or []");
  const std::vector<float> zeros(static_cast<std::size_t>(graph.parameter_count()));
  if (ChannelWidths(graph, zeros).is_empty())
    refuse("no layer of this network can lose channels by itself");
}

}  // namespace

void check_allocation(const CompressConfig& compress, const Allocator& allocator,
                      const Graph& graph, const AllocationInputs& known) {
  const AllocateConfig& allocate = compress.allocate;
  const auto refuse = [](const auto&... parts) { throw ConfigError(text("compress.", parts...)); };
  if (allocate.class_balance && known.class_counts.empty())
    refuse("allocate.class_balance: expected data with one label a sample");
  if (compress.constraints.max_latency_us && !allocator.knows_time()) {
    refuse("constraints.max_latency: allocator '", allocate.allocator,
           "' knows bytes alone; choose another one, or judge a finished run by "
           "`coppice validate`");
  }
  if (compress.constraints.max_latency_us && known.latencies == nullptr)
    refuse("constraints.max_latency: an allocator needs a compress.latency_table to meet it");
  check_widths(allocate, allocator, graph);
  if (known.latencies == nullptr) return;
  const std::vector<std::string> parameters = quantized_parameters(graph);
  const WeightTimes times(graph, parameters, *known.latencies);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::vector<float> zeros(
        static_cast<std::size_t>(blocked_spec(graph, parameters[p]).size()));
    for (const std::int64_t bits : allocate.bits)
      times.microseconds(p, zeros, static_cast<int>(bits));
  }
}

SenseRequest sense_request(const ServerState& state, const CompressConfig& compress,
                           std::int64_t max_weight, const AllocationInputs& known) {
  SenseRequest request;
  request.parameters = quantized_parameters(state.graph);
  const AllocateConfig& allocate = compress.allocate;
  const auto add = [&](WeightCandidate candidate) {
    for (const std::int64_t bits : allocate.bits) {
      const bool is_narrowed = compress.quantize.reduce_range && bits == 8;
      candidate.bits = is_narrowed ? 7 : static_cast<int>(bits);
      request.candidates.push_back(candidate);
    }
  };
  const auto add_densities = [&](double channels) {
    for (const double density : allocate.densities) add({.density = density, .channels = channels});
    for (const double density : allocate.block_densities)
      add({.block_density = density, .channels = channels});
  };
  add_densities(1.0);
  for (const double channels : allocate.channel_shares) add_densities(channels);
  request.batches = allocate.batches;
  request.half_batch = allocate.half_batch;
  if (allocate.class_balance) request.class_counts = known.class_counts;
  request.grid = grid_for(kTableRangeBits, max_weight);
  return request;
}

AllocationTarget allocation_target(const CompressConfig& compress, std::int64_t choices) {
  // Where an allocator regrows, the mask changes, not how much it keeps.
  const double left =
      regrow_method(compress.allocate.allocator)
          ? 0.0
          : 1.0 - static_cast<double>(choices) / static_cast<double>(compress.allocate.steps);
  return {.budget = {.bytes = compress.constraints.max_bytes,
                     .microseconds = compress.constraints.max_latency_us},
          .slack = std::pow(left, 3)};
}

ModelAllotment allocate_weights(ServerState& state, const Allocator& allocator,
                                const SenseRequest& request, const ExactSum& table,
                                const AllocationTarget& target, const LatencyTable* latencies) {
  if (target.budget.microseconds && latencies == nullptr)
    throw ConfigError("allocation: a budget of microseconds without a latency table");
  const StorageCosts storage(state, request, latencies);
  const std::vector<LayerCandidates> costs = storage.all(table);
  const AllocationProblem problem{
      .tensors = storage.tensors(),
      .candidates = storage.candidates(),
      .costs = costs,
      .budget = budget_of(target, storage.others(), costs),
      .bytes = [&](std::size_t index, const WeightCandidate& candidate) {
        return storage.bytes(index, candidate);
      }};
  const auto within = [&](const std::optional<double>& microseconds) {
    AllocationProblem one = problem;
    one.budget.microseconds = microseconds;
    ModelAllotment out = of_model(allocator.allot(one), storage, one);
    ServerState taken = model_of(state);
    if (take(taken, storage, request, out)) count_again(taken, request, latencies, out);
    return out;
  };
  ModelAllotment allotment = within(problem.budget.microseconds);
  if (problem.budget.microseconds.value_or(0.0) > 0.0 && !storage.widths().is_empty()) {
    allotment =
        use_time(std::move(allotment), *problem.budget.microseconds,
                 {.others = *storage.others().microseconds, .largest = slowest(costs)}, within);
  }
  allotment.reachable = reachable_files(costs, *storage.others().bytes);
  take(state, storage, request, allotment);
  return allotment;
}

std::int64_t bytes_as_chosen(const ServerState& state, const QuantizeConfig& quantize,
                             const LatencyTable* latencies) {
  ServerState finished = state;
  set_weight_grids(finished, quantize);
  Checkpoint checkpoint = to_checkpoint(finished, 0);
  add_activation_grids(checkpoint);
  return file_bytes(checkpoint, latencies).file;
}

void fit_file(ServerState& state, std::int64_t max_bytes, const LatencyTable* latencies) {
  if (state.mask.size() == 0 || state.plan.is_empty()) return;
  const auto bytes_of = [&](const ServerState& one) {
    return file_bytes(to_checkpoint(one, 0), latencies).file;
  };
  const std::int64_t bytes = bytes_of(state);
  if (bytes <= max_bytes ||
      static_cast<double>(bytes) > kMostTrimming * static_cast<double>(max_bytes))
    return;
  const std::vector<std::int64_t> order = smallest_first(state);
  const auto without = [&](std::size_t count) {
    ServerState smaller = state;
    for (std::size_t i = 0; i < count; ++i) smaller.mask.set(order[i], false);
    smaller.mask.apply(smaller.parameters);
    smaller.plan.weights = weight_grids(smaller.graph, smaller.parameters, smaller.weight_bits);
    return smaller;
  };
  // The fewest, as if the file became smaller with each of them; whatever is found was counted.
  std::size_t too_few = 0;
  std::size_t enough = order.size();
  while (enough - too_few > 1) {
    const std::size_t middle = too_few + (enough - too_few) / 2;
    (bytes_of(without(middle)) <= max_bytes ? enough : too_few) = middle;
  }
  state = without(enough);
  ++state.mask_epoch;
}

}  // namespace coppice
