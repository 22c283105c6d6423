#pragma once
// The frames that carry tasks, models, ballots and rows. Both directions are bounded: decode throws
// WireError for bytes that encode did not make. Pure functions.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/mask.h"
#include "core/task.h"

namespace coppice {

// A model on its way to clients: the graph and the quantization plan as canonical JSON (no plan:
// empty text), the mask (of size 0: none), and the parameters as fp32. Of masked parameters, which
// are zero, nothing but the mask's bit travels.
struct ModelMessage {
  std::string graph_json;
  std::string plan_json;
  std::vector<float> parameters;
  Mask mask = {};
};

std::vector<std::uint8_t> encode_task(const ClientTask& task);
// The same for one client of the cohort, as a device is sent it: of the others it says nothing. All
// clients' are as long.
std::vector<std::uint8_t> encode_task_for(const ClientTask& task, std::int64_t client);
ClientTask decode_task(std::span<const std::uint8_t> frame);

std::vector<std::uint8_t> encode_model(const ModelMessage& model);
ModelMessage decode_model(std::span<const std::uint8_t> frame);

std::vector<std::uint8_t> encode_rows(std::span<const ClientRow> rows);
// Bytes of a frame of one row.
std::int64_t row_frame_bytes();
std::vector<ClientRow> decode_rows(std::span<const std::uint8_t> frame);
// The same, appended to `rows`, which is unchanged if the frame is refused.
void append_rows(std::span<const std::uint8_t> frame, std::vector<ClientRow>& rows);

// Counts of a calibration or a gate, at most 2^22 whole numbers in [0, 2^24]; those that are not
// zero travel, each with its place.
std::vector<std::uint8_t> encode_histograms(std::span<const float> counts);
std::vector<float> decode_histograms(std::span<const std::uint8_t> frame);

// A client's table of sensitivities.
std::vector<std::uint8_t> encode_sensitivities(std::span<const float> table);
std::vector<float> decode_sensitivities(std::span<const std::uint8_t> frame);

// A ballot of 0s and 1s, one bit a unit.
std::vector<std::uint8_t> encode_ballot(std::span<const float> ballot);
// Throws WireError as well unless it has `units`; then nothing is allocated for it.
std::vector<float> decode_ballot(std::span<const std::uint8_t> frame, std::size_t units);

}  // namespace coppice
