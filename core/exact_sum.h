#pragma once
// Sums that do not depend on order.
//
// Floating-point addition is not associative, so a sum over clients would depend on which rank
// trained whom. Here a value becomes an integer multiple of a fixed quantum, is multiplied by an
// integer weight and added in 64 bits. Integers add in any order to the same bits, so the mean is
// the same for any number of ranks, arrival order and transport, and after any crash and resume.
//
// Not thread-safe: one ExactSum belongs to one thread; merge() joins the sums of several.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

// The grid of one named buffer, announced with the task, the same for every client of a round.
// Representable values: multiples of 2^-quantum_bits in (-2^range_bits, 2^range_bits).
struct GridSpec {
  int range_bits = 6;     // values up to 64
  int quantum_bits = 36;  // steps of 1.5e-11

  friend bool operator==(const GridSpec&, const GridSpec&) = default;
};

// The finest grid of at most 36 quantum bits on which a total weight of `max_weight` cannot
// overflow. Throws ConfigError if there is none.
GridSpec grid_for(int range_bits, std::int64_t max_weight);

// Throws ConfigError unless range_bits + quantum_bits + ceil(log2 max_weight) <= 62.
void check_grid(GridSpec grid, std::int64_t max_weight);

class ExactSum {
 public:
  // Room for `size` values. Throws ConfigError if a total weight of `max_weight` could overflow 63
  // bits on this grid.
  ExactSum(std::int64_t size, GridSpec grid, std::int64_t max_weight);

  // Adds weight * values. Either all of `values` (as many as size()) are added, or none: false
  // means that one was not finite or outside the grid, and the sum is unchanged. Values are rounded
  // half to even to the quantum. Throws ConfigError if the size differs, the weight is not
  // positive, or max_weight would be exceeded.
  [[nodiscard]] bool add(std::span<const float> values, std::int64_t weight);

  // For loops elsewhere that add weight * values as add() would, or take back what they added:
  // counts the weight and gives out the sums, in quanta. Throws ConfigError as add() does for a
  // weight, and for one to take back that was not there.
  std::span<std::int64_t> begin_add(std::int64_t weight);
  std::span<std::int64_t> begin_take_back(std::int64_t weight);

  // Adds another sum on the same grid and of the same size.
  void merge(const ExactSum& other);
  void merge(ExactSum&& other);  // the same; into an empty sum nothing is copied

  // The sums in quanta and, last, the weight: what ranks add up in place to join theirs.
  std::span<std::int64_t> exchanged() { return units_; }

  // Writes sum / weight(), rounded once to double and once to float. weight() must be positive.
  void mean(std::span<float> out) const;

  std::int64_t size() const { return static_cast<std::int64_t>(units_.size()) - 1; }
  std::int64_t weight() const { return units_.back(); }
  std::int64_t max_weight() const { return max_weight_; }
  GridSpec grid() const { return grid_; }
  std::span<const std::int64_t> units() const {  // in quanta
    return std::span(units_).first(units_.size() - 1);
  }

 private:
  void check_added_weight(std::int64_t weight) const;
  void check_merge(const ExactSum& other) const;

  std::vector<std::int64_t> units_;  // the last is the weight
  std::int64_t max_weight_;
  GridSpec grid_;
};

}  // namespace coppice
