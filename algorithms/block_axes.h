#pragma once
// How a layer's weights fall into the 4x4 blocks that the runtime skips (deploy/runtime/layout.h),
// told from the graph alone. Pure function; any thread.

#include "core/graph.h"

namespace coppice {

// `parameter` of `graph` with the axes that its blocks go by: [out, in, places...]. That is its own
// shape, except for a linear that reads a flattened image: the runtime keeps images with their
// channels innermost, so that four inputs of a block are four channels of one pixel, and the shape
// is [out, channels, height, width] of the same elements in the same order.
ParameterSpec with_block_axes(const Graph& graph, const ParameterSpec& parameter);

}  // namespace coppice
