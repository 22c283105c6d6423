#pragma once
// A step as it comes from the coordinator, in frames, made ready for local clients: by a rank and
// by a device the same way.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

#include "client/local_clients.h"
#include "core/experiment.h"
#include "core/mask.h"
#include "core/quant_plan.h"
#include "core/task.h"
#include "models/executor.h"

namespace coppice {

// A model as it came from the coordinator.
struct ReceivedModel {
  Graph graph;
  QuantPlan plan;
  std::vector<float> parameters;
  Mask mask;

  ModelView view() const { return {parameters, &plan, &mask}; }
};

// Throws WireError for a frame that cannot be read.
ReceivedModel receive_model(const std::vector<std::uint8_t>& frame);

// Follows frames of comm/model_delta.h, one after the other. Throws WireError for one that cannot
// be read; `model` is of no use then.
void change_model(std::span<const std::vector<std::uint8_t>> frames, const DownlinkConfig& downlink,
                  ReceivedModel& model);

// Teacher and reference of `clients`; an empty frame leaves the one that there is. Throws WireError
// as above, and as LocalClients.
void receive_others(const std::vector<std::uint8_t>& teacher_frame,
                    const std::vector<std::uint8_t>& reference_frame, LocalClients& clients);

}  // namespace coppice
