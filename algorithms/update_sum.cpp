#include "algorithms/update_sum.h"

#include <algorithm>  // for max, min
#include <bit>        // for bit_width
#include <cmath>      // for abs, ldexp
#include <vector>     // for vector

#include "core/error.h"
#include "core/text.h"
#include "kernels/codes.h"

namespace coppice {
namespace {

constexpr int kOnePassBits = 51;
constexpr int kFewestSmallBits = 3;  // differences below 8: larger ones are rare
// Sums, differences and global parameters of a block stay in the second-level cache while several
// models go by; long enough that the processor reads ahead.
constexpr std::int64_t kBlock = 2048;

void check_model(const ExactSum& sum, std::span<const float> global, const WeightedModel& model) {
  if (!fits_one_pass(sum.grid()))
    throw ConfigError("update sum: the grid is too fine for one pass");
  const auto size = static_cast<std::size_t>(sum.size());
  if (global.size() != size || model.parameters.size() != size) {
    throw ConfigError(text("update sum: expected ", size, " parameters, got ",
                           model.parameters.size(), " and ", global.size(),
                           " of the global model"));
  }
}

kernels::ExactTerm term_of(const ExactSum& sum, std::int64_t weight) {
  return {.range_bits = sum.grid().range_bits,
          .quantum_bits = sum.grid().quantum_bits,
          .weight = weight,
          .takes_back = false};
}

// The same for values so small that a double has room for the weight as well: multiplying is faster
// there.
kernels::ExactTerm small_term_of(const ExactSum& sum, std::int64_t weight) {
  kernels::ExactTerm term = term_of(sum, weight);
  const auto weight_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(weight)));
  const int small_bits = kOnePassBits - term.quantum_bits - weight_bits;
  if (small_bits >= kFewestSmallBits) term.range_bits = std::min(term.range_bits, small_bits);
  return term;
}

void add_difference(std::span<const float> global, const WeightedModel& model,
                    std::span<std::int64_t> units) {
  kernels::SquaredLength ignored;
  kernels::exact_add_difference(model.parameters.data(), global.data(), model.term,
                                std::ssize(units), units.data(), ignored);
}

}  // namespace

bool fits_one_pass(GridSpec grid) { return grid.range_bits + grid.quantum_bits <= kOnePassBits; }

void add_differences(ExactSum& sum, std::span<const float> global,
                     std::span<WeightedModel> models) {
  for (const WeightedModel& model : models) check_model(sum, global, model);
  std::span<std::int64_t> units;
  std::vector<kernels::ExactDifference> differences;
  differences.reserve(models.size());
  for (const WeightedModel& model : models) {
    units = sum.begin_add(model.weight);
    differences.push_back(
        {.local = model.parameters.data(), .term = small_term_of(sum, model.weight), .length = {}});
  }
  const std::int64_t size = std::ssize(units);
  const std::int64_t block = models.size() > 1 ? kBlock : std::max<std::int64_t>(size, 1);
  for (std::int64_t begin = 0; begin < size; begin += block) {
    kernels::exact_add_differences(differences, global.data(), begin, std::min(begin + block, size),
                                   units.data());
  }
  for (std::size_t i = 0; i < models.size(); ++i) {
    WeightedModel& model = models[i];
    model.term = differences[i].term;
    model.length = differences[i].length;
    const GridSpec taken{model.term.range_bits, model.term.quantum_bits};
    if (taken == sum.grid() || is_within(taken, model.length.norm(), global, model.parameters))
      continue;
    take_back_difference(sum, global, model);
    model.term = term_of(sum, model.weight);
    add_difference(global, model, sum.begin_add(model.weight));
  }
}

void take_back_difference(ExactSum& sum, std::span<const float> global,
                          const WeightedModel& model) {
  check_model(sum, global, model);
  WeightedModel back = model;
  back.term.takes_back = true;
  add_difference(global, back, sum.begin_take_back(model.weight));
}

bool is_within(GridSpec grid, double norm, std::span<const float> global,
               std::span<const float> model) {
  const double limit = std::ldexp(1.0, grid.range_bits);
  if (norm < limit) return true;  // no value is larger than the length
  for (std::size_t i = 0; i < global.size(); ++i) {
    const double value = double{model[i] - global[i]};
    if (!(std::abs(value) < limit)) return false;
  }
  return true;
}

double difference(std::span<const float> local, std::span<const float> global,
                  std::span<float> out) {
  if (local.size() != global.size() || local.size() != out.size()) {
    throw ConfigError(text("difference of ", local.size(), " and ", global.size(),
                           " parameters into ", out.size()));
  }
  kernels::SquaredLength length;
  kernels::difference(local.data(), global.data(), std::ssize(local), out.data(), length);
  return length.norm();
}

bool add_values(ExactSum& sum, std::span<const float> values, std::int64_t weight) {
  if (!fits_one_pass(sum.grid()) || std::ssize(values) != sum.size())
    return sum.add(values, weight);
  const std::int64_t n = std::ssize(values);
  const double limit = std::ldexp(1.0, sum.grid().range_bits);
  if (!kernels::all_finite(values.data(), n) ||
      double{kernels::largest_magnitude(values.data(), n)} >= limit)
    return false;
  kernels::exact_add(values.data(), term_of(sum, weight), n, sum.begin_add(weight).data());
  return true;
}

}  // namespace coppice
