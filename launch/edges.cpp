#include "launch/edges.h"

#include <algorithm>  // for binary_search
#include <cmath>      // for ceil, llround
#include <utility>    // for move

#include "comm/client_answer.h"
#include "comm/messages.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/text.h"

namespace coppice {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Without a deadline nothing but an event ends the waiting.
constexpr milliseconds kNoHurry{60'000};

}  // namespace

Edges::Edges(std::unique_ptr<Transport> transport, const NetworkConfig& config, EdgeSetup setup,
             std::vector<std::int64_t> clients, Others others, Note note)
    : transport_(std::move(transport)),
      config_(config),
      setup_(std::move(setup)),
      clients_(std::move(clients)),
      others_(std::move(others)),
      note_(std::move(note)) {}

bool Edges::has(std::int64_t client) const { return std::ranges::binary_search(clients_, client); }

Edges::Given Edges::needed() const {
  if (task_ == nullptr) return {.setup = true};
  return {
      .setup = true, .teacher = is_distilled(task_->plan), .reference = task_->gate.has_value()};
}

// What a step with all that is true in `given` is in bytes; nodes that lack the same share it.
std::shared_ptr<const std::vector<std::uint8_t>> Edges::step_with(const Given& given) {
  std::shared_ptr<const std::vector<std::uint8_t>>& frame = frames_[given];
  if (frame != nullptr) return frame;
  if (given.setup) step_.setup = setup_;
  if (given.teacher) step_.teacher_frame = others_.teacher();
  if (given.reference) step_.reference_frame = others_.reference();
  frame = std::make_shared<const std::vector<std::uint8_t>>(encode_edge_step(step_));
  step_.setup.reset();
  step_.teacher_frame.clear();
  step_.reference_frame.clear();
  return frame;
}

NodeQuestion Edges::question_for(std::int64_t client) {
  const Given& has = given_[client];
  const Given all = needed();
  return {node_of_client(client),
          task_ == nullptr ? data_question() : encode_task_for(*task_, client),
          step_with({.setup = !has.setup,
                     .teacher = all.teacher && !has.teacher,
                     .reference = all.reference && !has.reference})};
}

std::vector<DataFacts> Edges::survey(std::int64_t step, std::int64_t counted_classes) {
  std::vector<NodeQuestion> questions;
  for (const std::int64_t client : clients_) questions.push_back(question_for(client));
  note_(text("asks ", clients_.size(), " devices what data they have"));
  transport_->open(step, std::move(questions));
  std::map<std::int64_t, DataFacts> facts;
  while (facts.size() < clients_.size()) {
    const std::optional<NodeEvent> event = transport_->next(kNoHurry);
    if (!event) {
      note_(text("waits for ", clients_.size() - facts.size(), " of ", clients_.size(),
                 " devices to tell what data they have"));
      continue;
    }
    const std::optional<std::int64_t> client = sender(*event);
    if (client) facts.emplace(*client, facts_of(*event, counted_classes));
  }
  transport_->close();
  std::vector<DataFacts> out;
  for (auto& [client, one] : facts) {
    given_[client].setup = true;
    out.push_back(std::move(one));
  }
  return out;
}

// Of an answer to survey(). A run cannot begin without one of its clients.
DataFacts Edges::facts_of(const NodeEvent& event, std::int64_t counted_classes) {
  if (event.kind == NodeEventKind::kDeclined)
    throw Error(text(event.node, " declined: ", event.reason));
  try {
    DataFacts facts = decode_data_facts(event.answer);
    if (std::ssize(facts.class_counts) != counted_classes) {
      throw WireError(text("data facts: expected counts of ", counted_classes, " classes, got ",
                           facts.class_counts.size()));
    }
    transport_->accept(event.node);
    return facts;
  } catch (const WireError& error) {
    transport_->refuse(event.node, error.what());
    throw Error(text(event.node, " was refused: ", error.what()));
  }
}

void Edges::ask(std::int64_t step, Question question) {
  const ClientTask& task = question.task;
  task_ = &task;
  step_ = {.model_frame = std::move(question.model_frame), .model_bytes = question.model_bytes};
  frames_.clear();
  asked_ = answered_ = given_up_ = 0;
  first_reason_.clear();
  sums_.emplace(task, question.state.graph, question.state.mask, question.sizes,
                std::ssize(encode_task_for(task, task.cohort.front())) + question.model_bytes);
  std::vector<NodeQuestion> questions;
  for (const std::int64_t client : task.cohort) {
    if (!has(client)) continue;
    ++asked_;
    questions.push_back(question_for(client));
  }
  transport_->open(step, std::move(questions));
  asked_at_ = Clock::now();
}

RankReport Edges::collect() {
  while (!is_complete()) {
    if (const std::optional<NodeEvent> event = transport_->next(patience())) take(*event);
  }
  // What is here already came in time.
  while (outstanding() > 0) {
    const std::optional<NodeEvent> event = transport_->next(milliseconds(0));
    if (!event) break;
    take(*event);
  }
  transport_->close();
  if (answered_ < needed_answers()) {
    throw Error(text("round ", task_->round, ": ", answered_, " of ", asked_,
                     " devices answered, fewer than network.quorum (", config_.quorum, "); ",
                     first_reason_));
  }
  return sums_->take();
}

std::int64_t Edges::needed_answers() const {
  return std::llround(std::ceil(config_.quorum * static_cast<double>(asked_)));
}

bool Edges::is_complete() const {
  if (outstanding() == 0 || answered_ + outstanding() < needed_answers()) return true;
  if (!config_.deadline_us) return false;
  const std::chrono::duration<double, std::micro> waited = Clock::now() - asked_at_;
  return waited.count() >= *config_.deadline_us && answered_ >= needed_answers();
}

milliseconds Edges::patience() const {
  if (!config_.deadline_us) return kNoHurry;
  const std::chrono::duration<double, std::micro> left =
      std::chrono::duration<double, std::micro>(*config_.deadline_us) - (Clock::now() - asked_at_);
  if (left.count() <= 0.0) return kNoHurry;  // only an answer can end it now
  return std::chrono::ceil<milliseconds>(left);
}

std::optional<std::int64_t> Edges::sender(const NodeEvent& event) {
  const std::optional<std::int64_t> client = client_of_node(event.node);
  if (!client || !has(*client)) return std::nullopt;
  if (event.kind == NodeEventKind::kJoined) {
    if (away_.erase(*client) > 0) note_(event.node + " is back");
    return std::nullopt;
  }
  if (event.kind == NodeEventKind::kLeft) {
    away_.insert(*client);
    note_(text(event.node, " is gone: ", event.reason));
    return std::nullopt;
  }
  return client;
}

void Edges::take(const NodeEvent& event) {
  const std::optional<std::int64_t> client = sender(event);
  if (!client) return;
  if (event.kind == NodeEventKind::kAnswered) return take_answer(*client, event);
  take_decline(*client, event);
}

void Edges::take_answer(std::int64_t client, const NodeEvent& event) {
  try {
    sums_->add(client, decode_answer(event.answer));
  } catch (const WireError& error) {
    transport_->refuse(event.node, error.what());
    return give_up(text(event.node, " was refused: ", error.what()));
  }
  const Given all = needed();
  Given& given = given_[client];
  given.setup = true;
  given.teacher |= all.teacher;
  given.reference |= all.reference;
  ++answered_;
  transport_->accept(event.node);
  failpoint("after_acceptance");
}

void Edges::take_decline(std::int64_t client, const NodeEvent& event) {
  Given& given = given_[client];
  if (event.reason == kNeedsAll && given != Given{}) {  // its process is another one than before
    given = {};
    return transport_->ask_again(question_for(client));
  }
  give_up(text(event.node, " declined: ", event.reason));
}

void Edges::give_up(const std::string& reason) {
  ++given_up_;
  if (first_reason_.empty()) first_reason_ = reason;
  note_(reason);
}

}  // namespace coppice
