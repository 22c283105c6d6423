// What methods that regrow weights begin with: densities by the layers' shapes alone, as in Evci,
// Gale, Menick, Castro and Elsen 2020, "Rigging the lottery: making all tickets winners", section 3
// (Erdos-Renyi-Kernel): a layer of shape [out, in, ...] keeps the share
// scale (out + in + ...) / (out x in x ...), at most all. Where we deviate: the scale is not that
// of a given sparsity but the largest whose file fits.
#include <algorithm>  // for clamp, max
#include <utility>    // for move

#include "algorithms/allocator.h"

namespace coppice {
namespace {

constexpr int kHalvings = 40;  // of the scale; a weight more or less is then decided for any layer

double share_of(const AllocatedTensor& tensor) {
  double sum = 0.0;
  double product = 1.0;
  for (const std::int64_t size : tensor.shape) {
    sum += static_cast<double>(size);
    product *= static_cast<double>(size);
  }
  return tensor.shape.empty() ? 1.0 : sum / product;
}

Allotment at_scale(const AllocationProblem& problem, double scale, int bits,
                   std::int64_t max_bytes) {
  Allotment out;
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    const AllocatedTensor& tensor = problem.tensors[t];
    const double least = 1.0 / static_cast<double>(tensor.weights.size());
    const double density = std::clamp(scale * share_of(tensor), least, 1.0);
    out.candidates.push_back({.density = density, .bits = bits});
    out.bytes += problem.bytes(t, out.candidates.back());
  }
  out.fits = out.bytes <= max_bytes;
  return out;
}

class Erk final : public Allocator {
 public:
  bool knows_time() const override { return false; }
  bool knows_widths() const override { return false; }

  Allotment allot(const AllocationProblem& problem) const override {
    const std::int64_t max_bytes = bytes_alone(problem);
    const int bits = fixed_bits(common_candidates(problem));
    double too_large = 0.0;  // at which every layer is dense
    for (const AllocatedTensor& tensor : problem.tensors)
      too_large = std::max(too_large, 1.0 / share_of(tensor));
    Allotment most = at_scale(problem, too_large, bits, max_bytes);
    if (most.fits) return most;
    Allotment best = at_scale(problem, 0.0, bits, max_bytes);
    // The largest that fits, as if the file grew with it; whatever is taken was counted.
    double small_enough = 0.0;
    for (int i = 0; best.fits && i < kHalvings; ++i) {
      const double middle = small_enough + (too_large - small_enough) / 2.0;
      Allotment next = at_scale(problem, middle, bits, max_bytes);
      (next.fits ? small_enough : too_large) = middle;
      if (next.fits) best = std::move(next);
    }
    return best;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_feddst_allocator() { return std::make_unique<Erk>(); }
std::unique_ptr<Allocator> make_fedrts_allocator() { return std::make_unique<Erk>(); }

}  // namespace coppice
