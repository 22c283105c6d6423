#pragma once
// IDX, the format of MNIST and its relatives: two zero bytes, an element type, the rank, big-endian
// 32-bit sizes, then the elements in row-major order (Y. LeCun, "The MNIST database"). Read here:
// 0x08 (unsigned byte) and 0x0C (int32).

#include <cstddef>  // for size_t
#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

#include "data/byte_source.h"

namespace coppice {

enum class IdxType : std::uint8_t { kUint8 = 0x08, kInt32 = 0x0C };

struct IdxArray {
  IdxType type = IdxType::kUint8;
  std::vector<std::int64_t> shape = {};  // at least one axis
  std::vector<std::uint8_t> bytes = {};  // the whole decompressed file, for its digest
  std::size_t header_bytes = 0;

  std::int64_t size() const;                       // elements
  std::span<const std::uint8_t> elements() const;  // as stored
  std::vector<std::int32_t> to_int32() const;      // of either type
};

// Reads one array and expects the source to end there. Throws DataError for anything else: wrong
// magic, another type, rank 0, sizes whose product overflows, missing or trailing bytes.
IdxArray read_idx(ByteSource& source);

}  // namespace coppice
