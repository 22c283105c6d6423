#pragma once
// NPY, numpy's format for one array (NEP 1): magic, version, a header that is a Python dict
// literal, then the elements. Read here: little-endian integers and floats, bytes and Unicode
// strings of fixed width, in C order. Written: fp32.

#include <cstddef>  // for size_t
#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "data/byte_source.h"

namespace coppice {

struct NpyArray {
  std::string name = {};  // of its source, for messages
  char kind = 'u';        // u, i, f; S: bytes; U: code points of 4 bytes
  std::int64_t element_bytes = 1;
  std::vector<std::int64_t> shape = {};  // empty: one element
  std::vector<std::uint8_t> bytes = {};  // the elements

  std::int64_t size() const;      // elements
  std::string type_name() const;  // "f4"

  // Each throws DataError if the elements are of another kind, out of range or (floats) not finite.
  std::vector<float> to_float32() const;        // f4, f8
  std::vector<std::int32_t> to_int32() const;   // u1, i4, i8
  std::vector<std::string> to_strings() const;  // integers in decimal; S; U as UTF-8; without
                                                // trailing zeros
};

// Reads one array and expects the source to end there. Throws DataError for anything else.
NpyArray read_npy(ByteSource& source);

// The bytes of a version 1.0 file of `values`, as numpy.save writes them. Throws ConfigError if
// `shape` does not hold exactly values.size() elements.
std::vector<std::uint8_t> npy_bytes(std::span<const float> values,
                                    std::span<const std::int64_t> shape);

}  // namespace coppice
