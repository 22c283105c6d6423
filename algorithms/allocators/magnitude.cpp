// Stripelis, Gupta, Ver Steeg and Ambite 2022, "Federated progressive sparsification (purge, merge,
// tune)+", the global variant: one threshold on |w| over all tensors of the global model. Where we
// deviate: the threshold is the lowest whose file fits instead of one for a given sparsity, biases
// and norms are not pruned, and every tensor keeps at least one weight.
#include <algorithm>   // for max, stable_sort
#include <cmath>       // for abs
#include <functional>  // for ranges::greater
#include <utility>     // for move

#include "algorithms/allocator.h"

namespace coppice {
namespace {

// Which tensor each weight is of, by falling magnitude over all of them (ties: the earlier tensor).
// Within a tensor this is the order of kept_by_magnitude().
std::vector<std::size_t> tensors_by_magnitude(std::span<const AllocatedTensor> tensors) {
  struct Weight {
    float magnitude;
    std::size_t tensor;
  };
  std::vector<Weight> weights;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (const float value : tensors[t].weights) weights.push_back({std::abs(value), t});
  }
  std::ranges::stable_sort(weights, std::ranges::greater{}, &Weight::magnitude);
  std::vector<std::size_t> out;
  out.reserve(weights.size());
  for (const Weight& weight : weights) out.push_back(weight.tensor);
  return out;
}

// The `kept` largest of all weights stay.
Allotment with_kept(const AllocationProblem& problem, std::span<const std::size_t> order,
                    std::size_t kept, int bits) {
  std::vector<std::int64_t> counts(problem.tensors.size(), 0);
  for (const std::size_t tensor : order.first(kept)) ++counts[tensor];
  Allotment out;
  for (std::size_t t = 0; t < counts.size(); ++t) {
    const auto count = static_cast<double>(std::max<std::int64_t>(1, counts[t]));
    const auto size = static_cast<double>(problem.tensors[t].weights.size());
    out.candidates.push_back({.density = count / size, .bits = bits});
    out.bytes += problem.bytes(t, out.candidates.back());
  }
  out.fits = out.bytes <= *problem.budget.bytes;
  return out;
}

class Magnitude final : public Allocator {
 public:
  bool knows_time() const override { return false; }
  bool knows_widths() const override { return false; }

  Allotment allot(const AllocationProblem& problem) const override {
    bytes_alone(problem);
    const int bits = fixed_bits(common_candidates(problem));
    const std::vector<std::size_t> order = tensors_by_magnitude(problem.tensors);
    Allotment most = with_kept(problem, order, order.size(), bits);
    if (most.fits) return most;
    Allotment best = with_kept(problem, order, 0, bits);
    // The most that fit, as if the file grew with each of them; whatever is taken was counted.
    std::size_t enough = 0;
    std::size_t too_many = order.size();
    while (best.fits && too_many - enough > 1) {
      const std::size_t middle = enough + (too_many - enough) / 2;
      Allotment next = with_kept(problem, order, middle, bits);
      (next.fits ? enough : too_many) = middle;
      if (next.fits) best = std::move(next);
    }
    return best;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_magnitude_allocator() { return std::make_unique<Magnitude>(); }

}  // namespace coppice
