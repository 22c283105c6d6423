#pragma once
// Residuals of simulated clients (core/task.h) on their way between ranks. Pure functions.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/task.h"

namespace coppice {

std::vector<std::uint8_t> encode_residuals(std::span<const Residual> residuals);

// Throws WireError for bytes that encode_residuals() did not make.
std::vector<Residual> decode_residuals(std::span<const std::uint8_t> frame);

}  // namespace coppice
