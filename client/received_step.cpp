#include "client/received_step.h"

#include <utility>  // for move

#include "comm/codec.h"
#include "comm/messages.h"
#include "comm/model_delta.h"

namespace coppice {

ReceivedModel receive_model(const std::vector<std::uint8_t>& frame) {
  ModelMessage message = decode_model(frame);
  ReceivedModel model;
  model.graph = Graph::from_json(message.graph_json);
  if (!message.plan_json.empty()) model.plan = quant_plan_from_json(message.plan_json, model.graph);
  model.parameters = std::move(message.parameters);
  model.mask = std::move(message.mask);
  return model;
}

void change_model(std::span<const std::vector<std::uint8_t>> frames, const DownlinkConfig& downlink,
                  ReceivedModel& model) {
  const auto codec = make_codec(downlink.codec, downlink.options);
  HeldModel held{std::move(model.parameters), std::move(model.mask)};
  for (const std::vector<std::uint8_t>& frame : frames) {
    const std::string plan = receive_delta(frame, *codec, held);
    model.plan = plan.empty() ? QuantPlan() : quant_plan_from_json(plan, model.graph);
  }
  model.parameters = std::move(held.parameters);
  model.mask = std::move(held.mask);
}

void receive_others(const std::vector<std::uint8_t>& teacher_frame,
                    const std::vector<std::uint8_t>& reference_frame, LocalClients& clients) {
  if (!teacher_frame.empty()) {
    ModelMessage teacher = decode_model(teacher_frame);
    clients.set_teacher(Graph::from_json(teacher.graph_json), std::move(teacher.parameters));
  }
  if (!reference_frame.empty()) {
    ModelMessage dense = decode_model(reference_frame);
    clients.set_reference(Graph::from_json(dense.graph_json), std::move(dense.parameters));
  }
}

}  // namespace coppice
