#pragma once
// Methods that give every layer a density and a bit width within a budget of bytes, of microseconds
// or both: the knapsack of algorithms/allocation.h and those that it is measured against. An
// allocator decides nothing else: tables, training on the grids, coding and schedule are the same
// for all. Pure functions; any thread; equal problems give equal allotments.

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <functional>   // for function
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "algorithms/allocation.h"
#include "core/graph.h"
#include "core/weight_candidate.h"

namespace coppice {

// A parameter that shall be stored in few bytes. The weights are the caller's; those that are
// masked are zero and stay so, whatever is allotted.
struct AllocatedTensor {
  std::string name;
  std::span<const float> weights;
  Shape shape = {};  // [out, in, ...] of as many elements as weights; empty: one axis
};

// Bytes that tensors[index] takes when it is stored so; any density, any bits of the candidates.
using ByteCount = std::function<std::int64_t(std::size_t index, const WeightCandidate&)>;

struct AllocationProblem {
  std::span<const AllocatedTensor> tensors;
  // A tensor each: the ways to store it, one at least. They differ where not all tensors can be
  // narrower.
  std::span<const std::vector<WeightCandidate>> candidates;
  // A tensor each: loss, bytes and microseconds of each of its candidates, in their order.
  std::span<const LayerCandidates> costs;
  Budget budget;    // of all tensors together; at least one of the two
  ByteCount bytes;  // for what is not one of `candidates`
};

struct Allotment {
  std::vector<WeightCandidate> candidates = {};  // a tensor each; a density need not be on the grid
  std::int64_t bytes = 0;                        // counted
  bool fits = true;                              // false: the smallest that the method knows
  // Absent where the table does not tell, because a density is not on its grid.
  std::optional<double> predicted_loss = {};
  // How much of predicted_loss a better choice from the table might save, as a share of it; 0: none
  // can. Absent where the method does not know.
  std::optional<double> gap = {};
};

class Allocator {
 public:
  virtual ~Allocator() = default;

  // Whether budgets of microseconds are kept. A method that knows bytes alone throws ConfigError
  // for one, and for a problem without a budget of bytes.
  virtual bool knows_time() const = 0;

  // Whether a layer may get a width of its own. A method that gives none throws ConfigError for a
  // problem whose tensors have other candidates than the first.
  virtual bool knows_widths() const = 0;

  // Throws ConfigError if the problem has no tensor, no candidate or no budget, or its lists differ
  // in length.
  virtual Allotment allot(const AllocationProblem& problem) const = 0;
};

struct AllocatorInfo {
  std::string_view name;
  std::string_view sentence;
};
std::span<const AllocatorInfo> known_allocators();
std::unique_ptr<Allocator> make_allocator(std::string_view name);  // throws ConfigError, naming the
                                                                   // nearest known one

// Throws as Allocator::allot() does.
void check(const AllocationProblem& problem);
// The budget of a problem for methods that know bytes alone; throws for any other.
std::int64_t bytes_alone(const AllocationProblem& problem);

// The candidates of every tensor of a problem for methods that know no widths; throws for any
// other.
std::span<const WeightCandidate> common_candidates(const AllocationProblem& problem);

// For methods without a choice of bits: 4 where a candidate has them, else the most there are.
int fixed_bits(std::span<const WeightCandidate> candidates);

}  // namespace coppice
