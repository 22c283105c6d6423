#pragma once
// Layers to allocate: small ones with every choice there is, and some as networks have them.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "algorithms/allocation.h"
#include "core/random.h"

namespace coppice {

using Layers = std::vector<LayerCandidates>;
using Choice = std::vector<std::int64_t>;

inline constexpr double kNone = std::numeric_limits<double>::infinity();

inline double sum_of_losses(const Layers& layers, const Choice& choice) {
  double out = 0.0;
  for (std::size_t l = 0; l < layers.size(); ++l)
    out += layers[l][static_cast<std::size_t>(choice[l])].loss;
  return out;
}

inline bool is_within(const Budget& budget, std::int64_t bytes, double microseconds) {
  return (!budget.bytes || bytes <= *budget.bytes) &&
         (!budget.microseconds || microseconds <= *budget.microseconds);
}

// The least loss of all choices within the budget; infinite if none is.
inline double brute_force(const Layers& layers, const Budget& budget) {
  double best = kNone;
  Choice choice(layers.size(), 0);
  for (bool is_done = false; !is_done;) {
    std::int64_t bytes = 0;
    double microseconds = 0.0;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      bytes += layers[l][static_cast<std::size_t>(choice[l])].bytes;
      microseconds += layers[l][static_cast<std::size_t>(choice[l])].microseconds;
    }
    if (is_within(budget, bytes, microseconds))
      best = std::min(best, sum_of_losses(layers, choice));
    std::size_t l = 0;
    while (l < layers.size() && ++choice[l] == static_cast<std::int64_t>(layers[l].size()))
      choice[l++] = 0;
    is_done = l == layers.size();
  }
  return best;
}

// 3 to 6 layers of 2 to 6 candidates: small numbers, so that ties are common, or any.
inline Layers random_layers(RandomStream& stream, bool has_ties) {
  Layers layers(3 + stream.next_below(4));
  for (LayerCandidates& candidates : layers) {
    candidates.resize(2 + stream.next_below(5));
    for (Candidate& candidate : candidates) {
      if (has_ties) {
        candidate = {static_cast<double>(stream.next_below(6)),
                     static_cast<std::int64_t>(stream.next_below(8)),
                     static_cast<double>(stream.next_below(8))};
      } else {
        candidate = {std::exp(3.0 * stream.next_normal()),
                     static_cast<std::int64_t>(stream.next_below(100'000)),
                     100.0 * stream.next_uniform_double()};
      }
    }
  }
  return layers;
}

struct Ends {
  std::int64_t least_bytes = 0;
  std::int64_t most_bytes = 0;
  double least_microseconds = 0.0;
  double most_microseconds = 0.0;
};

inline Ends ends_of(const Layers& layers) {
  Ends out;
  for (const LayerCandidates& candidates : layers) {
    const auto [small, large] = std::ranges::minmax(candidates, {}, &Candidate::bytes);
    const auto [fast, slow] = std::ranges::minmax(candidates, {}, &Candidate::microseconds);
    out.least_bytes += small.bytes;
    out.most_bytes += large.bytes;
    out.least_microseconds += fast.microseconds;
    out.most_microseconds += slow.microseconds;
  }
  return out;
}

// From a little below what is needed to a little above what is of use.
inline std::int64_t random_bytes(const Ends& ends, RandomStream& stream) {
  const auto range = static_cast<double>(ends.most_bytes - ends.least_bytes);
  const double share = 1.2 * stream.next_uniform_double() - 0.1;
  return std::max<std::int64_t>(
      0, ends.least_bytes + static_cast<std::int64_t>(std::nearbyint(share * range)));
}

inline double random_microseconds(const Ends& ends, RandomStream& stream) {
  const double share = 1.2 * stream.next_uniform_double() - 0.1;
  const double range = ends.most_microseconds - ends.least_microseconds;
  return std::max(0.0, std::nearbyint(ends.least_microseconds + share * range));
}

// 12 layers as a network has them: sizes and curvatures over four decades, Laplace weights of which
// the smaller are pruned, an error that falls fourfold a bit, and masks at their entropy.
inline Layers synthetic_layers(std::uint64_t seed) {
  RandomStream stream({.seed = seed});
  Layers layers(12);
  for (LayerCandidates& candidates : layers) {
    const double n = std::exp(std::log(1e3) + std::log(1e3) * stream.next_uniform_double());
    const double h = std::exp(std::log(1e-4) + std::log(1e4) * stream.next_uniform_double());
    for (const double density : {1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05}) {
      const double t = -std::log(density);
      const double pruned = 2.0 - density * (t * t + 2.0 * t + 2.0);
      const double entropy = density == 1.0 ? 0.0
                                            : -density * std::log2(density) -
                                                  (1.0 - density) * std::log2(1.0 - density);
      for (const int bits : {2, 3, 4, 6, 8}) {
        const double error = pruned + density * 4.5 * std::exp2(-2 * bits);
        const double stored = n * (density * bits + entropy) / 8.0;
        candidates.push_back({0.5 * n * h * error, static_cast<std::int64_t>(stored), 0.0});
      }
    }
  }
  return layers;
}

// Of 32-bit weights.
inline std::int64_t dense_bytes(const Layers& layers) {
  std::int64_t bytes = 0;
  for (const LayerCandidates& candidates : layers) bytes += 4 * candidates[4].bytes;
  return bytes;
}

// 60 layers of 50 candidates with bytes and times of their own.
inline Layers large_layers(std::uint64_t seed) {
  RandomStream stream({.seed = seed});
  Layers layers(60);
  for (LayerCandidates& candidates : layers) {
    const double n = std::exp(7.0 + 6.0 * stream.next_uniform_double());
    const double h = std::exp(-9.0 * stream.next_uniform_double());
    for (int c = 0; c < 50; ++c) {
      const double density = 0.05 + 0.95 * stream.next_uniform_double();
      const double bits = 2.0 + 6.0 * stream.next_uniform_double();
      const double kept = density * density * (0.8 + 0.4 * stream.next_uniform_double());
      candidates.push_back({n * h * (std::max(0.0, 1.0 - kept) + std::exp2(-2.0 * bits)),
                            static_cast<std::int64_t>(n * density * bits / 8.0),
                            n * (0.3 + density) * (4.0 + bits) / 1e4});
    }
  }
  return layers;
}

}  // namespace coppice
