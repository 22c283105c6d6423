#pragma once
// What a checkpoint takes as a .cpk, exactly: the file is written and counted. And what one weight
// takes at a number of bits, for those who choose bits: the codes in the range coder's form. Pure
// functions; any thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/checkpoint.h"
#include "core/graph.h"
#include "core/quant_plan.h"
#include "deploy/latency_table.h"

namespace coppice {

struct CodedTensor {
  std::string parameter;  // of the plan
  int bits = 0;
  std::int64_t weights = 0;  // elements
  std::int64_t bytes = 0;    // coded_bytes()

  friend bool operator==(const CodedTensor&, const CodedTensor&) = default;
};

struct FileBytes {
  std::int64_t file = 0;             // of the .cpk, without properties and a name
  std::vector<CodedTensor> weights;  // in the plan's order
};

// With weights in the order that layout_choice.h gives them by `table` (null: by its rule), as the
// file is written in the end. Throws as lower() and LatencyTable::microseconds() do.
FileBytes file_bytes(const Checkpoint& checkpoint, const LatencyTable* table = nullptr);

// Bytes of the codes of `values`, those of a parameter of `shape` ([out, ...], masked weights being
// zero): of the stream alone, without the 2 bytes of each output channel's scale. The file's may be
// fewer where deflate or blocks do as well. About 15 ns a weight where most are zero.
std::int64_t coded_bytes(std::span<const float> values, const Shape& shape,
                         const WeightQuant& quant);

}  // namespace coppice
