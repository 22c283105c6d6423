#pragma once
// Clients' updates, the differences of their models to the global one, added to exact sums in one
// pass over memory each: the difference is made, squared, rounded to the sum's grid, weighted and
// added while it is in a register. Bit for bit what ExactSum::add does with the differences. Pure
// functions.

#include <cstdint>  // for int64_t
#include <span>     // for span

#include "core/exact_sum.h"
#include "kernels/exact_add.h"

namespace coppice {

// Whether the functions below can add on `grid`: range and quantum take 51 bits or fewer.
bool fits_one_pass(GridSpec grid);

// A client's model, and what add_differences() found: the length of its difference to the global
// one, and how that was added.
struct WeightedModel {
  std::span<const float> parameters;
  std::int64_t weight = 1;
  kernels::SquaredLength length = {};
  kernels::ExactTerm term = {};
};

// Adds weight * (parameters - global) of every model, block by block, so that the sum is read and
// written once for all of them. Nothing is refused: a model whose difference is not finite or
// outside the grid spoils the sum until it is taken back. Throws ConfigError if a size differs, a
// weight is not positive or the sum's largest weight would be exceeded, and for a grid that does
// not fit.
void add_differences(ExactSum& sum, std::span<const float> global, std::span<WeightedModel> models);

// Undoes add_differences() of `model`, which has its length and term, to the bit, whatever its
// values were.
void take_back_difference(ExactSum& sum, std::span<const float> global, const WeightedModel& model);

// Whether all of model - global lie within the grid. Reads them only if `norm`, their length, does
// not say so.
bool is_within(GridSpec grid, double norm, std::span<const float> global,
               std::span<const float> model);

// Fills `out` with local - global and returns their L2 norm, the same that add_differences() finds.
double difference(std::span<const float> local, std::span<const float> global,
                  std::span<float> out);

// ExactSum::add(), faster; on a grid that does not fit one pass, ExactSum::add() itself.
[[nodiscard]] bool add_values(ExactSum& sum, std::span<const float> values, std::int64_t weight);

}  // namespace coppice
