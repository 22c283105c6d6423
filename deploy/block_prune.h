#pragma once
// Block sparsity in one step, without training: for measuring what it would bring in time and
// bytes.

#include "core/checkpoint.h"

namespace coppice {

// Zeroes, in every conv2d and linear that the runtime multiplies in integers and that reads at
// least four channels, the 4x4 blocks (output channels by input channels at one place of the
// window) whose weights have the least sum of magnitudes, until at most the share `density` of each
// layer's blocks is left; of equal ones the earlier stay. Throws ConfigError unless 0 < density <=
// 1, and as lower() does.
void keep_largest_blocks(Checkpoint& checkpoint, double density);

}  // namespace coppice
