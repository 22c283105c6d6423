#pragma once
// What topk and stc share: which values are the k of largest magnitude, and their places as gaps.
//
// A gap is the number of values left out before one that is kept. It is a Golomb code with a power
// of two (Golomb 1966; Sattler et al. 2019 chose the parameter as done here): gap >> parameter
// zeros, a one, then the parameter's lowest bits of the gap, from the lowest bit of the first byte
// on; the last byte is filled up with zeros. At a tenth that is 4.8 bits a position, where the
// entropy is 4.7.
//
// A frame says count u64 | k u64 | parameter u8 | what is known of the kept values | gaps.

#include <cstdint>      // for uint32_t
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "comm/wire.h"

namespace coppice {

// Appends bits, the first in the lowest bit of the first byte.
class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& out) : out_(&out) {}

  void put(std::uint64_t bits, unsigned count);  // count <= 32, bits < 2^count
  void finish();                                 // fills the last byte up with zeros

 private:
  void flush_byte();

  std::vector<std::uint8_t>* out_;
  std::uint64_t word_ = 0;
  unsigned filled_ = 0;
};

// Reads them back.
class BitReader {
 public:
  // `codec` is named in errors and outlives this.
  BitReader(std::span<const std::uint8_t> in, std::string_view codec) : in_(in), codec_(codec) {}

  // Both throw WireError past the end.
  std::uint64_t take(unsigned count);  // at most 32
  std::uint64_t take_zeros();          // how many before the next one, which is taken too
  // Throws WireError unless less than a byte of zeros is left.
  void expect_end() const;

 private:
  void refill();

  std::span<const std::uint8_t> in_;
  std::string_view codec_;
  std::size_t at_ = 0;
  std::uint64_t word_ = 0;
  unsigned filled_ = 0;  // bits of word_; those above are 0
};

// k of n values: the fraction, rounded, at least 1. Throws WireError for more than 2^32 - 1 values.
std::uint64_t kept_count(std::string_view codec, double fraction, std::size_t n);

// The places of the k largest, ascending; of equal magnitudes the first stay.
std::vector<std::uint32_t> kept_positions(std::span<const float> values, std::uint64_t k);

void write_kept_header(std::size_t n, std::size_t k, WireWriter& out);
// k. Throws WireError unless count, k and the parameter are those of n values and `fraction`.
std::uint64_t read_kept_header(std::string_view codec, double fraction, std::size_t n,
                               WireReader& in);

void write_gaps(std::span<const std::uint32_t> positions, std::size_t n,
                std::vector<std::uint8_t>& out);
// The k positions below n that the rest of a frame says. Throws WireError for anything else.
std::vector<std::uint32_t> read_gaps(std::string_view codec, std::span<const std::uint8_t> gaps,
                                     std::uint64_t k, std::size_t n);

}  // namespace coppice
