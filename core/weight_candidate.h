#pragma once
// A way to store the weights of one layer. Plain value.

namespace coppice {

enum class SparsityKind { kElements, kBlocks };  // kBlocks: 4 x 4, core/mask.h BlockView

struct WeightCandidate {
  double density = 1.0;  // of the elements, or blocks, that are kept; (0, 1]
  SparsityKind sparsity = SparsityKind::kElements;
  int bits = 32;  // of a code; 32: fp32

  friend bool operator==(const WeightCandidate&, const WeightCandidate&) = default;
};

}  // namespace coppice
