#include "comm/gateway/gateway.h"

#include <boost/asio/post.hpp>
#include <future>   // for promise
#include <set>      // for set
#include <utility>  // for move

#include "comm/gateway/gateway_server.h"
#include "comm/gateway/io_thread.h"
#include "comm/gateway/mailbox.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::gateway {

using session::AckStatus;
using session::Admission;
using session::UpdateKey;

struct Gateway::State {
  State(const GatewayOptions& options, const session::RunId& run,
        std::span<const std::string> names)
      : ledger(run),
        nodes(names.begin(), names.end()),
        server(thread.io(), options, run, names, mailbox) {}

  template <typename Call>
  void post(Call&& call) {
    boost::asio::post(thread.io(), std::forward<Call>(call));
  }

  session::Sha256Digest digest_of(const std::shared_ptr<const std::vector<std::uint8_t>>& model);
  std::shared_ptr<const Asked> asked(Question question);
  std::optional<GatewayEvent> event_of(Mail mail);

  // The owner's: no other thread touches them.
  session::UpdateLedger ledger;
  std::set<std::string> nodes;
  std::map<std::string, UpdateKey> unsettled;  // handed out by next()
  // Of the round's models, by address; they are kept so that no other gets the same one.
  std::map<std::shared_ptr<const std::vector<std::uint8_t>>, session::Sha256Digest> digests;
  bool is_stopped = false;

  Mailbox mailbox;
  IoThread thread;       // its io_context outlives the server
  GatewayServer server;  // the thread's; ends after it
};

namespace {

void check(const Question& question, const std::set<std::string>& nodes) {
  if (!nodes.contains(question.node))
    throw Error(text("gateway: expected a node of this run, got '", question.node, "'"));
  if (question.task.empty() || question.task.size() > session::kMaxTaskBytes) {
    throw Error(text("gateway: ", question.node, ": expected a task of 1 to ",
                     session::kMaxTaskBytes, " bytes, got ", question.task.size()));
  }
  if (question.model == nullptr || question.model->empty() ||
      question.model->size() > session::kMaxTransferBytes) {
    throw Error(text("gateway: ", question.node, ": expected a model of 1 to ",
                     session::kMaxTransferBytes, " bytes, got ",
                     question.model == nullptr ? 0 : question.model->size()));
  }
}

session::Sha256Digest sha256_of(std::span<const std::uint8_t> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace

session::Sha256Digest Gateway::State::digest_of(
    const std::shared_ptr<const std::vector<std::uint8_t>>& model) {
  const auto found = digests.find(model);
  if (found != digests.end()) return found->second;
  return digests.emplace(model, sha256_of(*model)).first->second;
}

std::shared_ptr<const Asked> Gateway::State::asked(Question question) {
  Asked made;
  made.key = ledger.ask(question.node);
  made.task = std::move(question.task);
  made.model_digest = digest_of(question.model);
  made.model = std::move(question.model);
  made.deadline_ms = question.deadline_ms;
  made.asked_at = std::chrono::steady_clock::now();
  return std::make_shared<const Asked>(std::move(made));
}

Gateway::Gateway(const GatewayOptions& options, const session::RunId& run,
                 std::span<const std::string> nodes)
    : state_(std::make_unique<State>(options, run, nodes)) {
  state_->post([state = state_.get()] { state->server.start(); });
  state_->thread.start([state = state_.get()](std::exception_ptr failure) {
    state->mailbox.fail(std::move(failure));
  });
}

Gateway::~Gateway() { state_->thread.stop(); }

std::uint16_t Gateway::port() const { return state_->server.port(); }

void Gateway::open(std::int64_t round, std::vector<Question> questions) {
  std::set<std::string> named;
  for (const Question& question : questions) {
    check(question, state_->nodes);
    if (!named.insert(question.node).second)
      throw Error(text("gateway: expected one question for '", question.node, "', got two"));
  }
  state_->ledger.open(round);
  std::vector<std::shared_ptr<const Asked>> all;
  all.reserve(questions.size());
  for (Question& question : questions) all.push_back(state_->asked(std::move(question)));
  state_->post([&server = state_->server, all = std::move(all)] {
    for (const auto& asked : all) server.ask(asked);
  });
}

void Gateway::ask_again(Question question) {
  check(question, state_->nodes);
  if (state_->unsettled.contains(question.node)) {
    throw Error(text("gateway: expected the update of '", question.node,
                     "' to be settled before it is asked again"));
  }
  state_->post([&server = state_->server, asked = state_->asked(std::move(question))] {
    server.ask(asked);
  });
}

std::optional<GatewayEvent> Gateway::next(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    auto mail = state_->mailbox.take(std::max(left, std::chrono::milliseconds(0)));
    if (!mail) return std::nullopt;
    if (auto event = state_->event_of(std::move(*mail))) return event;
  }
}

// Nothing for an update that is not to be seen: of an earlier attempt, or damaged.
std::optional<GatewayEvent> Gateway::State::event_of(Mail mail) {
  if (auto* joined = std::get_if<Joined>(&mail)) return std::move(*joined);
  if (auto* left = std::get_if<Left>(&mail)) return std::move(*left);
  if (auto* declined = std::get_if<Declined>(&mail)) {
    if (ledger.look(declined->key) != Admission::kApply) return std::nullopt;
    return std::move(*declined);
  }
  Arrival& arrival = std::get<Arrival>(mail);
  const std::uint64_t bytes = arrival.bytes.size();
  const bool is_news = ledger.look(arrival.key) == Admission::kApply;
  if (is_news && sha256_of(arrival.bytes) != arrival.digest) {
    arrival.bytes = {};
    post([this, key = arrival.key, bytes] { server.send_again(key, bytes); });
    return std::nullopt;
  }
  post([this, bytes] { server.give_back(bytes); });
  if (!is_news) return std::nullopt;
  unsettled[arrival.key.node] = arrival.key;
  return Arrived{arrival.key.node, arrival.key, std::move(arrival.bytes)};
}

void Gateway::settle(const std::string& node, const Verdict& verdict) {
  const auto found = state_->unsettled.find(node);
  if (found == state_->unsettled.end())
    throw Error(text("gateway: expected an update of '", node, "' to settle, got none"));
  const UpdateKey key = found->second;
  state_->unsettled.erase(found);
  if (verdict.is_applied && state_->ledger.admit(key) != Admission::kApply)
    throw Error(text("gateway: expected an update that counts, got ", to_text(key)));
  state_->post([&server = state_->server, key, verdict] {
    server.settle(key, verdict.is_applied ? AckStatus::kApplied : AckStatus::kRefused,
                  verdict.refusal);
  });
}

void Gateway::close_round(const std::set<std::string>& standing) {
  state_->digests.clear();
  state_->ledger.close(standing);
  if (!standing.empty()) {
    // Answers in the mailbox are judged by next(): some of them stand.
    state_->post([&server = state_->server, standing] { server.close_round(standing); });
    return;
  }
  state_->unsettled.clear();
  // What arrives between the two is dropped by next(): the ledger has closed.
  const std::uint64_t bytes = state_->mailbox.drop_answers();
  state_->post([&server = state_->server, bytes] {
    server.give_back(bytes);
    server.close_round({});
  });
}

void Gateway::stop(session::ByeReason reason, const std::string& text) {
  if (std::exchange(state_->is_stopped, true)) return;
  // Shared with the io thread, which may find that all have gone after we ceased to wait.
  const auto stopped = std::make_shared<std::promise<void>>();
  auto all_gone = stopped->get_future();
  state_->post([&server = state_->server, reason, text, stopped] {
    server.stop(reason, text, [stopped] { stopped->set_value(); });
  });
  all_gone.wait_for(state_->server.times().silence + state_->server.times().tick());
  state_->thread.stop();
}

GatewayCounters Gateway::counters() const {
  // Shared with the io thread, which may end by a failure before it comes to this.
  const auto answer = std::make_shared<std::promise<GatewayCounters>>();
  auto counters = answer->get_future();
  if (!state_->is_stopped)
    state_->post([&server = state_->server, answer] { answer->set_value(server.counters()); });
  constexpr std::chrono::milliseconds kPause(10);
  while (!state_->is_stopped && !state_->mailbox.has_failed()) {
    if (counters.wait_for(kPause) == std::future_status::ready) return counters.get();
  }
  state_->thread.stop();
  return state_->server.counters();
}

}  // namespace coppice::gateway
