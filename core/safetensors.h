#pragma once
// The safetensors layout: u64 little-endian header length, a JSON header (name -> dtype, shape,
// offsets; "__metadata__"
// -> text), then the tensors' bytes without holes. The reader takes hostile bytes: every length is
// checked against the bytes at hand before anything is allocated. Format:
// https://huggingface.co/docs/safetensors. Pure functions.

#include <cstdint>      // for uint8_t
#include <map>          // for map
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"

namespace coppice {

// A tensor inside a file: `bytes` is a view into whoever owns them. dtype is one of the format's
// names: F32, I64, U64...
struct TensorBytes {
  std::string name;
  std::string dtype;
  Shape shape;
  std::span<const std::uint8_t> bytes;
};

struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::vector<TensorBytes> tensors;  // in file order; views into the bytes that were read

  const TensorBytes* find(std::string_view name) const;
};

// Sizes of `bytes` must match dtype and shape; names must be unique.
std::vector<std::uint8_t> write_safetensors(const TensorFile& file);

// Throws DataError "`what`: ..." for anything that is not exactly one intact file: header beyond
// the end or above 64 MiB, bad JSON, unknown dtype, offsets that overlap, leave holes or do not fit
// the shape, bytes left over.
TensorFile read_safetensors(std::span<const std::uint8_t> bytes, std::string_view what);

std::span<const std::uint8_t> bytes_of(std::span<const float> values);
// The values of an F32 tensor. Throws DataError for another dtype.
std::vector<float> floats_of(const TensorBytes& tensor, std::string_view what);

}  // namespace coppice
