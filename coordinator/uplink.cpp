#include "coordinator/uplink.h"

#include <algorithm>  // for find, lower_bound, max, min
#include <cmath>      // for sqrt
#include <string>     // for string
#include <utility>    // for move

#include "comm/codecs/rotated.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr double kScheduleWindow = 0.1;  // of the rounds, as in DAdaQuant's experiments
constexpr std::int64_t kMostResidualBytes = std::int64_t{1} << 30;

constexpr double kMostBits = 8.0;

// About what a frame takes: `fixed` bytes and `a_bit` for each bit a value, of which there are at
// least `least_bits`.
struct FrameCost {
  std::int64_t fixed = 0;
  std::int64_t a_bit = 0;
  double least_bits = 1.0;

  std::int64_t bytes(double bits) const {
    return fixed + static_cast<std::int64_t>(bits * static_cast<double>(a_bit));
  }
};

FrameCost frame_cost(const std::string& codec, std::int64_t values) {
  if (codec == "rotated") {
    const std::int64_t one = rotated_frame_bytes(values, 1);
    const std::int64_t a_bit = rotated_frame_bytes(values, 2) - one;
    return {.fixed = one - a_bit, .a_bit = a_bit};
  }
  // Of n values at one level at most sqrt(n) are not 0 on average (QSGD, lemma 3.1), and each takes
  // about 4 bytes, most of them for its place.
  constexpr std::int64_t kFixed = 100;
  const auto count = static_cast<double>(std::max<std::int64_t>(8, values));
  return {.fixed = kFixed,
          .a_bit = static_cast<std::int64_t>(count / 8.0),
          .least_bits = std::min(kMostBits, 8.0 * 4.0 * std::sqrt(count) / count)};
}

std::vector<std::int64_t> weights_of(const ClientTask& task,
                                     std::span<const std::int64_t> weights) {
  std::vector<std::int64_t> out;
  for (const std::int64_t client : task.cohort)
    out.push_back(std::max<std::int64_t>(1, weights[static_cast<std::size_t>(client)]));
  return out;
}

void set_levels(std::span<const std::int64_t> weights, const ServerState& state, ClientTask& task) {
  const std::int64_t scheduled = state.transport.levels.levels;
  if (scheduled > 0) task.codec_options.levels = scheduled;
  for (const std::int64_t levels : levels_by_weight(
           weights_of(task, weights), static_cast<double>(task.codec_options.levels))) {
    task.client_options.push_back(task.codec_options);
    task.client_options.back().levels = levels;
  }
}

void set_budgets(std::int64_t budget, std::span<const std::int64_t> weights,
                 const ServerState& state, ClientTask& task) {
  const FrameCost cost = frame_cost(task.codec, state.sent_parameters());
  const double mean =
      cost.a_bit == 0 ? cost.least_bits
                      : static_cast<double>(budget - cost.fixed) / static_cast<double>(cost.a_bit);
  for (const double bits :
       bits_by_weight(weights_of(task, weights), mean, cost.least_bits, kMostBits)) {
    task.client_options.push_back(task.codec_options);
    task.client_options.back().max_bytes = cost.bytes(bits);
  }
}

}  // namespace

void check_uplink(const CommConfig& comm, std::int64_t clients, std::int64_t parameters) {
  const FrameCost cost = frame_cost(comm.codec, parameters);
  const std::int64_t least = cost.bytes(cost.least_bits);
  if (comm.budget && *comm.budget < least) {
    throw ConfigError(text("comm.budget: expected at least ", least, " bytes for ", parameters,
                           " parameters with codec ", comm.codec, ", got ", *comm.budget));
  }
  const std::int64_t bytes = static_cast<std::int64_t>(sizeof(float)) * parameters;
  if (comm.error_feedback && bytes > kMostResidualBytes / std::max<std::int64_t>(1, clients)) {
    throw ConfigError(text("comm.error_feedback: what ", clients, " clients leave out of ",
                           parameters, " parameters is expected to take at most 1 GiB, got ", bytes,
                           " bytes a client"));
  }
}

void plan_uplink(const CommConfig& comm, std::span<const std::int64_t> weights,
                 const ServerState& state, ClientTask& task) {
  task.codec = comm.codec;
  task.codec_options = comm.options;
  if (comm.error_feedback) task.residual_decay = comm.residual_decay;
  if (comm.codec == "dadaquant") set_levels(weights, state, task);
  if (comm.budget) set_budgets(*comm.budget, weights, state, task);
}

void learn_uplink(const ClientTask& task, double loss, std::int64_t rounds,
                  std::vector<Residual> residuals, const CommConfig& comm, ServerState& state) {
  TransportState& transport = state.transport;
  if (task.codec == "dadaquant") {
    const auto window = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(kScheduleWindow * static_cast<double>(rounds)));
    transport.levels = after_round(std::move(transport.levels), loss, comm.options.levels, window);
  }
  for (Residual& residual : residuals) {
    if (state.mask.size() > 0)
      residual.values = IndexMap::kept_by(state.mask).scatter(residual.values);
    const auto place =
        std::ranges::lower_bound(transport.residuals, residual.client, {}, &Residual::client);
    if (place != transport.residuals.end() && place->client == residual.client) {
      *place = std::move(residual);
    } else {
      transport.residuals.insert(place, std::move(residual));
    }
  }
}

// Gathering what the mask keeps is the projection onto it: what is left out of a parameter that was
// masked since will never travel.
std::vector<Residual> residuals_for(const ClientTask& task, const ServerState& state) {
  std::vector<Residual> out;
  if (!task.residual_decay) return out;
  for (const Residual& residual : state.transport.residuals) {
    if (std::ranges::find(task.cohort, residual.client) == task.cohort.end()) continue;
    out.push_back(residual);
    if (state.mask.size() > 0)
      out.back().values = IndexMap::kept_by(state.mask).gather(residual.values);
  }
  return out;
}

}  // namespace coppice
