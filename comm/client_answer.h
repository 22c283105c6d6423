#pragma once
// What one client sends back for a task: its row, and a frame for each sum that the task asks for.
// A simulated client's are joined where they are made; a real one's travel, and mean the same.

#include <cstdint>  // for uint8_t
#include <map>      // for map
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/task.h"

namespace coppice {

struct ClientAnswer {
  ClientRow row;
  // By the name of the sum (core/task.h); of a client that is refused there are none.
  std::map<std::string, std::vector<std::uint8_t>> frames = {};

  // Bytes that it is counted as: the row's and the frames'.
  std::int64_t counted_bytes() const;
};

std::vector<std::uint8_t> encode_answer(const ClientAnswer& answer);
// Throws WireError for bytes that encode_answer() did not make.
ClientAnswer decode_answer(std::span<const std::uint8_t> frame);

}  // namespace coppice
