#include "client/edge_worker.h"

#include <exception>  // for exception
#include <iterator>   // for ssize
#include <span>       // for span
#include <utility>    // for exchange

#include "client/client_facts.h"
#include "comm/client_answer.h"
#include "comm/messages.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

EdgeWorker::Reply EdgeWorker::handle(const std::vector<std::uint8_t>& task_frame,
                                     const std::vector<std::uint8_t>& step_frame) {
  try {
    const EdgeStep step = decode_edge_step(step_frame);
    return is_data_question(task_frame) ? facts(step) : answer(task_frame, step);
  } catch (const std::exception& error) {
    return {.declined = describe(error)};
  }
}

void EdgeWorker::begin(const EdgeSetup& setup) {
  if (setup_ == setup) return;
  clients_.reset();
  setup_.reset();  // should the new one fail
  has_teacher_ = has_reference_ = false;
  model_number_ = -1;
  world_ = open_world_(setup);
  if (client_ >= std::ssize(world_.partition.clients)) {
    throw ConfigError(text("expected one of the run's ", world_.partition.clients.size(),
                           " clients, got ", node_of_client(client_)));
  }
  clients_ = std::make_unique<LocalClients>(*world_.dataset, world_.partition, setup.executor,
                                            world_.seed);
  setup_ = setup;
}

EdgeWorker::Reply EdgeWorker::facts(const EdgeStep& step) {
  if (step.setup) begin(*step.setup);
  if (clients_ == nullptr) return {.declined = std::string(kNeedsAll)};
  const std::vector<DataFacts> all = facts_of(*world_.dataset, world_.partition);
  return {.answer = encode_data_facts(all[static_cast<std::size_t>(client_)])};
}

// Makes the step's model the one at hand. False: it is said as changes to one that is not here.
bool EdgeWorker::receive(const EdgeStep& step) {
  if (step.changes.empty()) {
    model_number_ = -1;  // should the frame be no model
    model_ = {};         // one at a time
    model_ = receive_model(step.model_frame);
    model_number_ = step.model_number;
    return true;
  }
  // Some may be here already: the answer to the step that they came with did not count.
  const std::int64_t has = model_number_ - (step.model_number - std::ssize(step.changes));
  if (model_number_ < 0 || has < 0 || has > std::ssize(step.changes)) return false;
  const auto missing = std::span(step.changes).subspan(static_cast<std::size_t>(has));
  model_number_ = -1;
  change_model(missing, world_.downlink, model_);
  model_number_ = step.model_number;
  return true;
}

EdgeWorker::Reply EdgeWorker::answer(const std::vector<std::uint8_t>& task_frame,
                                     const EdgeStep& step) {
  const ClientTask task = decode_task(task_frame);
  if (step.setup) begin(*step.setup);
  const bool has_teacher = has_teacher_ || !step.teacher_frame.empty();
  const bool has_reference = has_reference_ || !step.reference_frame.empty();
  const bool lacks_teacher = is_distilled(task.plan) && !has_teacher;
  if (clients_ == nullptr || lacks_teacher || (task.gate && !has_reference) || !receive(step))
    return {.declined = std::string(kNeedsAll)};
  clients_->set_graph(model_.graph);
  receive_others(step.teacher_frame, step.reference_frame, *clients_);
  has_teacher_ = has_teacher;
  has_reference_ = has_reference;

  std::vector<ClientAnswer> answers;
  clients_->keep_answers(&answers);
  bool is_taken = false;
  const auto only_one = [&]() -> std::optional<std::int64_t> {
    return std::exchange(is_taken, true) ? std::nullopt : std::optional(client_);
  };
  clients_->run(task, model_.view(), only_one, std::ssize(task_frame) + step.model_bytes);
  clients_->keep_answers(nullptr);
  return {.answer = encode_answer(answers.at(0))};
}

}  // namespace coppice
