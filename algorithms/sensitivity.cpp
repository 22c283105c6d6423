#include "algorithms/sensitivity.h"

#include <algorithm>  // for stable_sort, max, clamp, any_of, ranges::sort
#include <cmath>      // for abs, isfinite, llround, log, exp
#include <numeric>    // for iota
#include <utility>    // for move

#include "algorithms/quantize.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/top_k.h"

namespace coppice {
namespace {

constexpr int kFloatBits = 32;
constexpr double kLargestRatio = 100.0;

void check_share(double share, const char* what) {
  if (!(share > 0.0 && share <= 1.0))
    throw ConfigError(text("compression: expected a ", what, " above 0 and up to 1, got ", share));
}

void check_finite(std::span<const float> values, const char* what) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw DataError(text(what, ": value ", i, " is not finite: ", values[i]));
  }
}

void check_size(const ParameterSpec& parameter, std::span<const float> values) {
  if (static_cast<std::int64_t>(values.size()) == parameter.size() && !values.empty()) return;
  throw ConfigError(text("parameter '", parameter.name, "': expected ", parameter.size(),
                         " values, one or more, got ", values.size()));
}

std::int64_t kept_count(double density, std::size_t all) {
  return std::max<std::int64_t>(1, std::llround(density * static_cast<double>(all)));
}

// Which block an element is in: by fours of outputs, then places of the window, then fours of
// inputs.
class BlockNumbers {
 public:
  explicit BlockNumbers(const Shape& shape)
      : inputs_(shape.size() > 1 ? shape[1] : 1),
        places_(element_count(shape) / (shape[0] * inputs_)),
        columns_(places_ * fours(inputs_)),
        rows_(fours(shape[0])) {}

  std::size_t count() const { return static_cast<std::size_t>(rows_ * columns_); }
  std::size_t operator()(std::size_t index) const {
    const auto i = static_cast<std::int64_t>(index);
    const std::int64_t place = i % places_;
    const std::int64_t input = i / places_ % inputs_;
    const std::int64_t output = i / places_ / inputs_;
    const std::int64_t column = place * fours(inputs_) + input / BlockView::kBlock;
    return static_cast<std::size_t>(output / BlockView::kBlock * columns_ + column);
  }

 private:
  static std::int64_t fours(std::int64_t n) {
    return (n + BlockView::kBlock - 1) / BlockView::kBlock;
  }

  std::int64_t inputs_;
  std::int64_t places_;
  std::int64_t columns_;
  std::int64_t rows_;
};

bool has_same_mask(const WeightCandidate& a, const WeightCandidate& b) {
  return a.density == b.density && a.block_density == b.block_density && a.channels == b.channels;
}

KeptChannels all_channels(const ParameterSpec& parameter) {
  KeptChannels out(static_cast<std::size_t>(parameter.shape.front()));
  std::iota(out.begin(), out.end(), std::int64_t{0});
  return out;
}

void check_candidate(const ParameterSpec& parameter, const WeightCandidate& candidate) {
  check_share(candidate.density, "density");
  check_share(candidate.block_density, "density");
  check_share(candidate.channels, "share of channels");
  if (candidate.density < 1.0 && candidate.block_density < 1.0) {
    throw ConfigError(text("parameter '", parameter.name, "': expected one density below 1, got ",
                           candidate.density, " of elements and ", candidate.block_density,
                           " of blocks"));
  }
}

// What is stored of the channels that a candidate keeps, before it is put on a grid.
struct StoredWeights {
  KeptChannels channels;
  ParameterSpec parameter;
  std::vector<float> values;
};

std::optional<StoredWeights> stored_weights(const ParameterSpec& parameter,
                                            std::span<const float> values,
                                            const WeightCandidate& candidate,
                                            const ChannelWidths& widths) {
  std::optional<KeptWeights> kept = kept_weights(parameter, values, candidate, widths);
  if (!kept) return std::nullopt;
  StoredWeights out{
      .channels = std::move(kept->channels), .parameter = std::move(kept->parameter), .values = {}};
  out.values = narrowed(parameter, values, out.channels);
  kept->mask.apply(out.values);
  return out;
}

// `changes` becomes what is stored less `values`: -w in channels that are not.
void subtract(const StoredWeights& stored, std::span<const float> grid_values,
              std::span<const float> values, std::vector<float>& changes) {
  for (std::size_t i = 0; i < values.size(); ++i) changes[i] = -values[i];
  const auto row = grid_values.size() / stored.channels.size();
  for (std::size_t c = 0; c < stored.channels.size(); ++c) {
    const std::size_t first = static_cast<std::size_t>(stored.channels[c]) * row;
    for (std::size_t i = 0; i < row; ++i)
      changes[first + i] = grid_values[c * row + i] - values[first + i];
  }
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2.0;
}

}  // namespace

Mask kept_by_magnitude(std::span<const float> values, double density) {
  check_share(density, "density");
  check_finite(values, "magnitudes");
  const auto n = static_cast<std::int64_t>(values.size());
  if (n == 0) return Mask(0);
  const std::int64_t count = kept_count(density, values.size());
  std::vector<std::uint32_t> positions(static_cast<std::size_t>(count) + 1);
  kernels::top_k_positions(values.data(), n, kernels::top_k(values.data(), n, count),
                           positions.data());
  positions.pop_back();
  Mask mask(n, false);
  for (const std::uint32_t position : positions) mask.set(position, true);
  return mask;
}

Mask kept_blocks(const ParameterSpec& parameter, std::span<const float> values, double density) {
  check_share(density, "density");
  check_size(parameter, values);
  check_finite(values, "blocks");
  const BlockNumbers number(parameter.shape);
  std::vector<double> squares(number.count());
  for (std::size_t i = 0; i < values.size(); ++i)
    squares[number(i)] += double{values[i]} * double{values[i]};
  std::vector<std::size_t> order(squares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return squares[a] > squares[b]; });
  std::vector<bool> is_kept(squares.size());
  const auto count = static_cast<std::size_t>(kept_count(density, squares.size()));
  for (std::size_t i = 0; i < count; ++i) is_kept[order[i]] = true;
  Mask mask(static_cast<std::int64_t>(values.size()), false);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (is_kept[number(i)]) mask.set(static_cast<std::int64_t>(i), true);
  }
  return mask;
}

std::optional<KeptWeights> kept_weights(const ParameterSpec& parameter,
                                        std::span<const float> values,
                                        const WeightCandidate& candidate,
                                        const ChannelWidths& widths) {
  check_size(parameter, values);
  check_candidate(parameter, candidate);
  std::optional<KeptChannels> channels = candidate.channels < 1.0
                                             ? widths.kept(parameter.name, candidate.channels)
                                             : all_channels(parameter);
  if (!channels) return std::nullopt;
  KeptWeights out{.channels = std::move(*channels), .parameter = {}, .mask = {}};
  out.parameter = narrowed(parameter, out.channels);
  const std::vector<float> left = narrowed(parameter, values, out.channels);
  out.mask = candidate.block_density < 1.0
                 ? kept_blocks(out.parameter, left, candidate.block_density)
                 : kept_by_magnitude(left, candidate.density);
  return out;
}

void candidate_changes(const ParameterSpec& parameter, std::span<const float> values,
                       std::span<const WeightCandidate> candidates, const ChangeVisitor& visit,
                       const ChannelWidths& widths) {
  check_size(parameter, values);
  check_finite(values, parameter.name.c_str());
  std::optional<StoredWeights> stored;
  std::vector<float> changes(values.size());
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    if (c == 0 || !has_same_mask(candidates[c], candidates[c - 1]))
      stored = stored_weights(parameter, values, candidates[c], widths);
    if (!stored) continue;
    std::vector<float> grid_values = stored->values;
    if (candidates[c].bits != kFloatBits) {
      fake_quantize(grid_values, weight_quant(stored->parameter, grid_values, candidates[c].bits));
    }
    subtract(*stored, grid_values, values, changes);
    visit(c, changes);
  }
}

std::vector<double> sensitivity(const ParameterSpec& parameter, std::span<const float> values,
                                std::span<const float> curvature,
                                std::span<const WeightCandidate> candidates,
                                const ChannelWidths& widths) {
  check_size(parameter, curvature);
  for (std::size_t i = 0; i < curvature.size(); ++i) {
    if (!(std::isfinite(curvature[i]) && curvature[i] >= 0.0F)) {
      throw DataError(text("parameter '", parameter.name, "': expected curvature ", i,
                           " finite and not negative, got ", curvature[i]));
    }
  }
  std::vector<double> out(candidates.size());
  candidate_changes(
      parameter, values, candidates,
      [&](std::size_t candidate, std::span<const float> changes) {
        double sum = 0.0;
        for (std::size_t i = 0; i < changes.size(); ++i)
          sum += double{curvature[i]} * double{changes[i]} * double{changes[i]};
        out[candidate] = 0.5 * sum;
      },
      widths);
  return out;
}

double participation_weight(double share, double inclusion) {
  if (!(std::isfinite(share) && share >= 0.0) || !(inclusion > 0.0 && inclusion <= 1.0)) {
    throw ConfigError(text("participation: expected a share of 0 or more and a probability above 0",
                           " and up to 1, got ", share, " and ", inclusion));
  }
  return share / inclusion;
}

void move_average(std::vector<double>& average, std::span<const double> sum, double weight_sum,
                  double rate) {
  if (!average.empty() && average.size() != sum.size())
    throw ConfigError(text("tables: expected ", average.size(), " entries, got ", sum.size()));
  if (!(std::isfinite(weight_sum) && weight_sum >= 0.0) || !(rate > 0.0 && rate <= 1.0)) {
    throw ConfigError(text("tables: expected a weight of 0 or more and a rate above 0 and up to 1,",
                           " got ", weight_sum, " and ", rate));
  }
  if (weight_sum == 0.0) return;
  const bool is_first = average.empty();
  average.resize(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const double round = sum[i] / weight_sum;
    average[i] = is_first ? round : (1.0 - rate) * average[i] + rate * round;
  }
}

LossFactor fit_loss_factor(std::span<const LossJump> jumps) {
  std::vector<double> logs;
  for (const LossJump& jump : jumps) {
    if (!std::isfinite(jump.measured) || !std::isfinite(jump.predicted) || jump.predicted < 0.0) {
      throw ConfigError(text("loss jumps: expected finite ones, predicted 0 or more, got ",
                             jump.predicted, " predicted and ", jump.measured, " measured"));
    }
    if (jump.predicted == 0.0) continue;
    const double ratio =
        std::clamp(jump.measured / jump.predicted, 1.0 / kLargestRatio, kLargestRatio);
    logs.push_back(std::log(ratio));
  }
  if (logs.empty()) return {};
  const double middle = median_of(logs);
  LossFactor out{.factor = std::exp(middle), .points = static_cast<std::int64_t>(logs.size())};
  for (double& value : logs) value = std::abs(value - middle);
  out.spread = median_of(logs);
  return out;
}

}  // namespace coppice
