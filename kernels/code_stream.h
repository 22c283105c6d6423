#pragma once
// Small signed integers in as few bytes as their own statistics allow: an adaptive binary range
// coder for the codes of a weight tensor, of which many are zero. Integer arithmetic alone: the
// same bytes everywhere. Pure functions; any thread.
//
// Codes in [-127, 127] lie in rows, one an output channel. A code is a flag "not zero", which has
// another probability for every number of zeros among the two codes before it and that of the row
// before; a sign; and a magnitude: how many bits it has, in unary, then the bits below the first.
// Every such decision has a probability of its own that follows what was seen: half the mean of
// about the last 500, half of the last 20. The stream:
//   largest magnitude   u8; 0: every code is zero, and nothing follows
//   range coder         32 bits, carries resolved; as long as its last code needs, plus one byte
// It stands for one sequence of codes, and is the only one that does.

#include <cstddef>  // for size_t
#include <cstdint>  // for int8_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice::kernels {

// Bytes of the stream, exactly. `row` is the length of a row, at least 1; the last may be shorter.
// Takes 10 to 30 ns a code of up to 4 bits, the less the more are zero.
std::size_t coded_bytes(std::span<const std::int8_t> codes, std::int64_t row);

// Appends the stream to `out`.
void encode_codes(std::span<const std::int8_t> codes, std::int64_t row,
                  std::vector<std::uint8_t>& out);

// Fills all of `codes`. False, and `codes` are anything, unless `bytes` are what encode_codes()
// makes of as many codes of at most `largest` (1 to 127): not for a stream that is cut, followed or
// changed. Hostile bytes are expected: nothing outside `bytes` is read, nothing is allocated.
bool decode_codes(std::span<const std::uint8_t> bytes, std::int64_t row, int largest,
                  std::span<std::int8_t> codes);

}  // namespace coppice::kernels
