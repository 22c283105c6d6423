#pragma once
// What clients are asked when some of the weights that a mask keeps shall go and others come in
// their place. Plain value.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "core/exact_sum.h"

namespace coppice {

// One parameter of the graph. Of its `weights` elements a client would keep the `kept` it has
// trained to the largest magnitudes, of those that the mask keeps, and let in the `grown` of the
// largest gradients, of those that the mask does not.
struct RegrowLayer {
  std::string parameter;
  std::int64_t weights = 0;
  std::int64_t kept = 0;
  std::int64_t grown = 0;

  friend bool operator==(const RegrowLayer&, const RegrowLayer&) = default;
};

// Asks every client, after its training, for a ballot: 1 for each weight that it would have in the
// mask, 0 for the others, parameter after parameter in the order of `layers`.
struct RegrowRequest {
  std::vector<RegrowLayer> layers;
  std::int64_t batches = 16;     // pairs of half-batches that the gradient is a mean over
  std::int64_t half_batch = 32;  // samples
  GridSpec grid{1, 0};

  std::int64_t weights() const {
    std::int64_t sum = 0;
    for (const RegrowLayer& layer : layers) sum += layer.weights;
    return sum;
  }

  friend bool operator==(const RegrowRequest&, const RegrowRequest&) = default;
};

}  // namespace coppice
