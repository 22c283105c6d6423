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

// Each model that devices still keep is another frame of a step: whose is older gets the model.
constexpr std::int64_t kMostChanges = 16;

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
  return {.setup = true,
          .teacher = is_distilled(task_->plan),
          .reference = task_->gate.has_value(),
          .model = step_.model_number};
}

// Counts models as the coordinator's state does (coordinator/downlink.h). Changes that are longer
// than the model, with those after them, will not be sent to anybody.
void Edges::number_model(const Question& question) {
  step_.model_number =
      question.sends_changes ? std::ssize(question.state.transport.broadcast.delta_bytes) : -1;
  if (question.changes.empty()) {
    changes_.clear();
    for (auto& [client, given] : given_) given.model = -1;
    for (auto& [client, late] : late_) late.model = -1;
    return;
  }
  changes_.push_back(question.changes);
  while (!changes_.empty() && (std::ssize(changes_) > kMostChanges ||
                               !is_change_worth(step_.model_number - std::ssize(changes_))))
    changes_.erase(changes_.begin());
}

// Whether the changes since model `from` are here, and shorter than the model.
bool Edges::is_change_worth(std::int64_t from) const {
  const std::int64_t count = step_.model_number - from;
  if (from < 0 || count < 1 || count > std::ssize(changes_)) return false;
  std::size_t bytes = 0;
  for (auto frame = changes_.end() - count; frame != changes_.end(); ++frame)
    bytes += frame->size();
  return bytes < step_.model_frame.size();
}

// What a step with all that is true in `given`, and with changes since its model, is in bytes;
// nodes that lack the same share it.
std::shared_ptr<const std::vector<std::uint8_t>> Edges::step_with(const Given& given) {
  std::shared_ptr<const std::vector<std::uint8_t>>& frame = frames_[given];
  if (frame != nullptr) return frame;
  EdgeStep step{.model_bytes = step_.model_bytes, .model_number = step_.model_number};
  if (given.model < 0) {
    step.model_frame = step_.model_frame;
  } else {
    step.changes.assign(changes_.end() - (step_.model_number - given.model), changes_.end());
  }
  if (given.setup) step.setup = setup_;
  if (given.teacher) step.teacher_frame = others_.teacher();
  if (given.reference) step.reference_frame = others_.reference();
  frame = std::make_shared<const std::vector<std::uint8_t>>(encode_edge_step(step));
  return frame;
}

NodeQuestion Edges::question_for(std::int64_t client) {
  const Given& has = given_[client];
  const Given all = needed();
  return {node_of_client(client),
          task_ == nullptr ? data_question() : encode_task_for(*task_, client),
          step_with({.setup = !has.setup,
                     .teacher = all.teacher && !has.teacher,
                     .reference = all.reference && !has.reference,
                     .model = is_change_worth(has.model) ? has.model : -1})};
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
  transport_->close({});
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
  number_model(question);
  number_ = step;
  first_reason_.clear();
  sums_ = std::make_shared<AnswerSums>(
      task, question.state.graph, question.state.mask, question.sizes,
      std::ssize(encode_task_for(task, task.cohort.front())) + question.model_bytes);
  trainings_ += task.trains() ? 1 : 0;
  std::erase_if(late_, [this](const auto& entry) {
    const auto& [client, late] = entry;
    return !is_connected(client) || !sums_->not_projected(*late.then).empty();
  });
  expected_.clear();
  std::vector<NodeQuestion> questions;
  for (const std::int64_t client : task.cohort) {
    if (!has(client)) continue;
    expected_.insert(client);
    if (!late_.contains(client)) questions.push_back(question_for(client));
  }
  asked_ = std::ssize(expected_);
  answered_ = 0;
  transport_->open(step, std::move(questions));
  asked_at_ = Clock::now();
}

RankReport Edges::collect() {
  while (!is_complete()) {
    if (const std::optional<NodeEvent> event = transport_->next(patience())) take(*event);
  }
  // What is here already came in time.
  while (!expected_.empty()) {
    const std::optional<NodeEvent> event = transport_->next(milliseconds(0));
    if (!event) break;
    take(*event);
  }
  await_late();
  if (answered_ < needed_answers()) {
    throw Error(text("round ", task_->round, ": ", answered_, " of ", asked_,
                     " devices answered, fewer than network.quorum (", config_.quorum, "); ",
                     first_reason_));
  }
  return sums_->take();
}

// Of a training, those that are still at it are left at it; who is not connected will be asked
// anew.
void Edges::await_late() {
  if (config_.late > 0 && task_->trains()) {
    for (const std::int64_t client : expected_) {
      if (!is_connected(client)) continue;
      if (late_.try_emplace(client, Late{sums_, trainings_ + config_.late, step_.model_number})
              .second)
        note_(text(node_of_client(client), " is late for round ", task_->round));
    }
  }
  std::erase_if(late_, [this](const auto& entry) {
    return !task_->trains() || entry.second.last <= trainings_ || !is_connected(entry.first);
  });
  std::set<std::string> standing;
  for (const auto& [client, late] : late_) standing.insert(node_of_client(client));
  transport_->close(standing);
}

bool Edges::is_connected(std::int64_t client) const {
  const auto found = is_here_.find(client);
  return found != is_here_.end() && found->second;
}

std::int64_t Edges::needed_answers() const {
  return std::llround(std::ceil(config_.quorum * static_cast<double>(asked_)));
}

bool Edges::is_complete() const {
  if (expected_.empty() || answered_ + std::ssize(expected_) < needed_answers()) return true;
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
  const bool was_gone = is_here_.contains(*client) && !is_connected(*client);
  is_here_[*client] = event.kind != NodeEventKind::kLeft;
  if (event.kind == NodeEventKind::kJoined) {
    if (was_gone) note_(event.node + " is back");
    return std::nullopt;
  }
  if (event.kind == NodeEventKind::kLeft) {
    note_(text(event.node, " is gone: ", event.reason));
    return std::nullopt;
  }
  return client;
}

void Edges::take(const NodeEvent& event) {
  const std::optional<std::int64_t> client = sender(event);
  if (!client) return;
  if (event.step != number_) return take_late(*client, event);
  if (event.kind == NodeEventKind::kAnswered) return take_answer(*client, event);
  take_decline(*client, event);
}

// An answer to an earlier training counts in place of one to this, if it can; else the device is
// asked this one.
void Edges::take_late(std::int64_t client, const NodeEvent& event) {
  const auto late = late_.extract(client);
  if (event.kind == NodeEventKind::kDeclined) {
    if (event.reason == kNeedsAll) given_[client] = {};
    return ask_anew(client);
  }
  if (late.empty() || !expected_.contains(client)) {
    return transport_->refuse(event.node,
                              text("late, and not to be projected on round ", task_->round));
  }
  try {
    sums_->add_late(client, *late.mapped().then, decode_answer(event.answer));
  } catch (const WireError& error) {
    transport_->refuse(event.node, error.what());
    note_(text(event.node, " was refused: ", error.what()));
    return ask_anew(client);
  }
  note_(text(event.node, " answers late, in round ", task_->round));
  given_[client].setup = true;
  given_[client].model = late.mapped().model;
  count(client, event.node);
}

void Edges::ask_anew(std::int64_t client) {
  if (expected_.contains(client)) transport_->ask_again(question_for(client));
}

void Edges::count(std::int64_t client, const std::string& node) {
  expected_.erase(client);
  ++answered_;
  transport_->accept(node);
  failpoint("after_acceptance");
}

void Edges::take_answer(std::int64_t client, const NodeEvent& event) {
  try {
    sums_->add(client, decode_answer(event.answer));
  } catch (const WireError& error) {
    transport_->refuse(event.node, error.what());
    return give_up(client, text(event.node, " was refused: ", error.what()));
  }
  const Given all = needed();
  Given& given = given_[client];
  given.setup = true;
  given.teacher |= all.teacher;
  given.reference |= all.reference;
  given.model = all.model;
  count(client, event.node);
}

void Edges::take_decline(std::int64_t client, const NodeEvent& event) {
  Given& given = given_[client];
  if (event.reason == kNeedsAll && given != Given{}) {  // its process is another one than before
    given = {};
    return transport_->ask_again(question_for(client));
  }
  give_up(client, text(event.node, " declined: ", event.reason));
}

void Edges::give_up(std::int64_t client, const std::string& reason) {
  expected_.erase(client);
  if (first_reason_.empty()) first_reason_ = reason;
  note_(reason);
}

}  // namespace coppice
