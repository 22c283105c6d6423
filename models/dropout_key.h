#pragma once
// Which dropout masks to draw, for every executor. Internal to models/.

#include <cstdint>  // for int64_t

namespace coppice {

// A mask is a function of these values, the dropout's ordinal in the graph and the element's
// position in the batch; nothing else.
struct DropoutKey {
  std::uint64_t seed = 1;
  std::int64_t client = 0;
  std::int64_t round = 1;
  std::int64_t step = 0;  // of this client in this round, from 0
};

struct DropoutMask {
  DropoutKey key;
  std::int64_t ordinal = 0;  // among the graph's dropout nodes
  std::int64_t count = 0;    // of them
  double rate = 0.5;

  double kept() const { return 1.0 / (1.0 - rate); }  // what elements that stay are multiplied by
};

// Elements [first, first + n) of the mask over a whole batch, sample by sample: zeros with
// probability `rate`, else ones.
void draw_dropout_mask(const DropoutMask& mask, std::int64_t first, std::int64_t n, float* out);

}  // namespace coppice
