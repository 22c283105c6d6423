#include "core/exact_sum.h"

#include <algorithm>  // for all_of, min
#include <bit>        // for bit_width
#include <cmath>      // for ldexp, nearbyint, isfinite
#include <utility>    // for move, as_const

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr int kAccumulatorBits = 62;  // one bit for the sign, one spare so that merge() cannot wrap
constexpr int kFinestQuantumBits = 36;

int weight_bits(std::int64_t max_weight) {
  return max_weight < 1
             ? 0
             : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(max_weight - 1)));
}

}  // namespace

GridSpec grid_for(int range_bits, std::int64_t max_weight) {
  const GridSpec grid{range_bits, std::min(kFinestQuantumBits, kAccumulatorBits - range_bits -
                                                                   weight_bits(max_weight))};
  check_grid(grid, max_weight);
  return grid;
}

void check_grid(GridSpec grid, std::int64_t max_weight) {
  const std::int64_t bits =
      std::int64_t{grid.range_bits} + grid.quantum_bits + weight_bits(max_weight);
  const bool is_sane = grid.range_bits >= 0 && grid.range_bits <= kAccumulatorBits &&
                       grid.quantum_bits >= 0 && grid.quantum_bits <= kAccumulatorBits;
  if (is_sane && max_weight >= 1 && bits <= kAccumulatorBits) return;
  throw ConfigError(text("exact sum: range ", grid.range_bits, " + quantum ", grid.quantum_bits,
                         " + weight ", weight_bits(max_weight), " bits need ", bits, ", at most ",
                         kAccumulatorBits, " fit; lower the quantum or the total weight ",
                         max_weight));
}

ExactSum::ExactSum(std::int64_t size, GridSpec grid, std::int64_t max_weight)
    : units_(static_cast<std::size_t>(size) + 1), max_weight_(max_weight), grid_(grid) {
  check_grid(grid, max_weight);
}

bool ExactSum::add(std::span<const float> values, std::int64_t weight) {
  if (static_cast<std::int64_t>(values.size()) != size()) {
    throw ConfigError(text("exact sum: expected ", size(), " values, got ", values.size()));
  }
  check_added_weight(weight);
  const double limit = std::ldexp(1.0, grid_.range_bits);
  const auto fits = [limit](float v) { return std::isfinite(v) && std::abs(double{v}) < limit; };
  if (!std::all_of(values.begin(), values.end(), fits)) return false;

  const double quanta = std::ldexp(1.0, grid_.quantum_bits);
  for (std::size_t i = 0; i < values.size(); ++i)
    units_[i] += weight * static_cast<std::int64_t>(std::nearbyint(double{values[i]} * quanta));
  units_.back() += weight;
  return true;
}

void ExactSum::check_added_weight(std::int64_t weight) const {
  if (weight >= 1 && weight <= max_weight_ - this->weight()) return;
  throw ConfigError(text("exact sum: weight ", weight, " on top of ", this->weight(),
                         " is outside 1..", max_weight_));
}

std::span<std::int64_t> ExactSum::begin_add(std::int64_t weight) {
  check_added_weight(weight);
  units_.back() += weight;
  return std::span(units_).first(units_.size() - 1);
}

std::span<std::int64_t> ExactSum::begin_take_back(std::int64_t weight) {
  if (weight < 1 || weight > this->weight()) {
    throw ConfigError(
        text("exact sum: weight ", weight, " cannot be taken back from ", this->weight()));
  }
  units_.back() -= weight;
  return std::span(units_).first(units_.size() - 1);
}

void ExactSum::check_merge(const ExactSum& other) const {
  if (other.size() != size() || other.grid_ != grid_)
    throw ConfigError("exact sum: merge of different grids");
  if (other.weight() > max_weight_ - weight()) {
    throw ConfigError(text("exact sum: merged weight ", other.weight(), " on top of ", weight(),
                           " exceeds the announced total ", max_weight_));
  }
}

void ExactSum::merge(ExactSum&& other) {
  check_merge(other);
  if (weight() == 0) {  // then all sums are 0
    units_ = std::move(other.units_);
  } else {
    merge(std::as_const(other));
  }
}

void ExactSum::merge(const ExactSum& other) {
  check_merge(other);
  for (std::size_t i = 0; i < units_.size(); ++i) units_[i] += other.units_[i];
}

void ExactSum::mean(std::span<float> out) const {
  if (weight() < 1 || static_cast<std::int64_t>(out.size()) != size()) {
    throw ConfigError(
        text("exact sum: mean of weight ", weight(), " into ", out.size(), " values of ", size()));
  }
  const double scale = std::ldexp(1.0, -grid_.quantum_bits) / static_cast<double>(weight());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(static_cast<double>(units_[i]) * scale);
}

}  // namespace coppice
