#pragma once
// A way to store the weights of one layer. Plain value.

namespace coppice {

// At most one of the densities is below 1; they are shares of what the width leaves.
struct WeightCandidate {
  double density = 1.0;        // of its elements, largest magnitudes first; (0, 1]
  double block_density = 1.0;  // of its 4x4 blocks, largest sums of squares first; (0, 1]
  int bits = 32;               // of a code; 32: fp32
  // Of its output channels, by whole units (algorithms/channel_widths.h); (0, 1]. Below 1 it is
  // for layers alone that can lose channels by themselves.
  double channels = 1.0;

  friend bool operator==(const WeightCandidate&, const WeightCandidate&) = default;
};

}  // namespace coppice
