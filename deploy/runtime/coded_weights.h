#pragma once
// Weights of a .cpk in the range coder's form (kernels/code_stream.h): all codes of a product,
// zeros too, in rows of output channels, whatever order they are multiplied in. Pure functions; any
// thread. Internal.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

#include "deploy/runtime/layout.h"
#include "deploy/runtime/program.h"

namespace coppice::runtime {

// The stream that takes the place of codes and numbers of blocks. Empty unless it is at least 5 %
// shorter than what deflate makes of those alone, and gives them back: so codes that are dense in
// their bits stay as they are multiplied, and load as fast as they are copied. `weights` have
// codes and passed check_layout().
std::vector<std::uint8_t> coded_weights(const Weights& weights, const ProductShape& shape);

// What deflate makes of the codes and the numbers of blocks, or as many as they are.
std::int64_t deflated_bytes(const Weights& weights);

// Fills in codes, counts and numbers of blocks of `weights`, whose bits and layout are known.
// Hostile bytes are expected: nothing is allocated before the stream is long enough for `shape`, at
// least a byte for 1032 codes. Throws ModelError.
void decode_weights(std::span<const std::uint8_t> stream, const ProductShape& shape,
                    Weights& weights);

}  // namespace coppice::runtime
