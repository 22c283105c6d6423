#pragma once
// What the model has changed by, on its way to clients. The coordinator moves its own copy of what
// they hold with the same function and the same bytes as they do, so that both ends hold the same
// bits; what a frame leaves out is still missing from that copy and is part of the next difference.
// Pure functions.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "comm/codec.h"
#include "core/mask.h"

namespace coppice {

// The parameters that clients train from, and their mask (of size 0: none).
struct HeldModel {
  std::vector<float> parameters;
  Mask mask;

  friend bool operator==(const HeldModel&, const HeldModel&) = default;
};

// A frame that moves `held` towards `now`, which has as many parameters: the quantization plan
// (empty: none), the mask if it is another one, and the differences of the parameters that it
// keeps, encoded. Throws ConfigError if the sizes differ.
std::vector<std::uint8_t> encode_delta(const HeldModel& held, const HeldModel& now,
                                       const std::string& plan_json, const Codec& codec,
                                       const RandomKey& key);

// Applies it and returns the plan. Parameters that the mask does not keep become 0. Throws
// WireError for bytes that encode_delta() did not make for as many parameters; `held` is then
// unchanged.
std::string receive_delta(std::span<const std::uint8_t> frame, const Codec& codec, HeldModel& held);

}  // namespace coppice
