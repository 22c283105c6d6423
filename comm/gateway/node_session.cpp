#include "comm/gateway/node_session.h"

#include <algorithm>  // for min
#include <boost/asio/connect.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>  // for move

#include "comm/gateway/connection.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice::gateway {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using session::AckStatus;
using session::SessionState;

constexpr int kMaxWrongDigests = 3;

void check(const NodeOptions& options) {
  const auto expect = [](bool is_good, const std::string& rule) {
    if (!is_good) throw ConfigError("link to the coordinator: expected " + rule);
  };
  expect(!options.host.empty() && options.port != 0, "a host and a port");
  expect(options.backoff_min_ms >= 1 && options.backoff_max_ms >= options.backoff_min_ms,
         text("times between attempts from 1 ms, the longest last, got ", options.backoff_min_ms,
              " and ", options.backoff_max_ms));
  expect(options.give_up_ms >= 0 && options.connect_ms >= 1 && options.stall_ms >= 1,
         text("limits that are not negative, got ", options.give_up_ms, ", ", options.connect_ms,
              " and ", options.stall_ms, " ms"));
}

}  // namespace

NodeAnswer NodeAnswer::of(std::vector<std::uint8_t> update) {
  if (update.empty() || update.size() > session::kMaxTransferBytes) {
    throw Error(text("node: expected an update of 1 to ", session::kMaxTransferBytes,
                     " bytes, got ", update.size()));
  }
  NodeAnswer answer;
  answer.update = std::move(update);
  Sha256 hash;
  hash.update(answer.update);
  answer.digest = hash.finish();
  return answer;
}

NodeAnswer NodeAnswer::decline(const std::string& reason) {
  NodeAnswer answer;
  answer.refusal = printable(reason.empty() ? "no reason given" : reason);
  return answer;
}

class NodeSession::State : public Connection::Owner, public std::enable_shared_from_this<State> {
 public:
  State(boost::asio::io_context& io, tls::TlsContext& tls, const NodeOptions& options,
        NodeEvents events)
      : tls_(tls),
        options_(options),
        events_(std::move(events)),
        resolver_(io),
        socket_(io),
        timer_(io),
        random_({options.seed, Purpose::kReconnection}) {}

  void start();
  void answer(const session::UpdateKey& key, NodeAnswer answer);
  void stop();
  void abandon();
  const NodeCounters& counters() const { return counters_; }

  void opened() override;
  void received(session::Message message) override;
  void drained() override;
  void broken(const std::string& text) override;
  void closed(const Closing& closing) override;

 private:
  // The task at hand.
  struct Work {
    session::UpdateKey key;
    session::Sha256Digest model_digest = {};
    std::uint64_t model_bytes = 0;
    std::vector<std::uint8_t> task;
    std::uint32_t deadline_ms = 0;
    std::shared_ptr<std::vector<std::uint8_t>> model;  // shared with who works; whole or not
    Sha256 hash;                                       // of what is there
    bool is_whole = false;
    bool is_given = false;  // events_.work was called
    int wrong_digests = 0;
    std::optional<NodeAnswer> answer;
  };

  void connect();
  void connected(const error_code& error);
  void failed(const std::string& text);
  void retry();
  void tick();
  void end(NodeEnd::Why why, const std::string& text);
  void welcome(const session::Welcome& welcome);
  void take_task(const session::Task& task);
  void take_chunk(const session::ModelChunk& chunk);
  void take_ack(const session::Ack& ack);
  void go_on();
  void forget_model();
  template <typename Call>
  void wait(milliseconds time, Call call);  // instead of what was waited for
  void stop_waiting();

  tls::TlsContext& tls_;
  NodeOptions options_;
  NodeEvents events_;
  tcp::resolver resolver_;
  tcp::socket socket_;  // while it connects
  boost::asio::steady_timer timer_;
  ConnectionTimes times_;
  std::shared_ptr<Connection> connection_;  // shared with its handlers; null: none
  bool is_in_session_ = false;              // that one was welcomed
  std::optional<Work> work_;
  std::shared_ptr<std::vector<std::uint8_t>> last_model_;  // whole; shared as in Work; null: none
  session::Sha256Digest last_digest_ = {};
  RandomStream random_;
  NodeCounters counters_;
  SteadyTime last_session_;    // when there was one
  int failures_ = 0;           // since something came after a welcome
  std::uint64_t wait_ = 0;     // the newest
  std::uint64_t attempt_ = 0;  // handlers of earlier ones do nothing
  bool is_over_ = false;
  std::optional<NodeEnd> end_;  // once our bye is read
};

// ---- the connection

template <typename Call>
void NodeSession::State::wait(milliseconds time, Call call) {
  timer_.expires_after(time);
  // A wait that has run out may not have been told that it was cancelled.
  timer_.async_wait([self = shared_from_this(), call, number = ++wait_](const error_code& error) {
    if (!error && !self->is_over_ && number == self->wait_) call();
  });
}

void NodeSession::State::stop_waiting() {
  ++wait_;
  timer_.cancel();
}

void NodeSession::State::start() {
  if (is_over_) return;  // stopped before it began
  last_session_ = std::chrono::steady_clock::now();
  connect();
}

void NodeSession::State::connect() {
  ++counters_.attempts;
  const std::uint64_t attempt = ++attempt_;
  const auto is_stale = [this, attempt] { return is_over_ || attempt != attempt_; };
  wait(milliseconds(options_.connect_ms), [this] { failed("no answer"); });
  resolver_.async_resolve(
      options_.host, std::to_string(options_.port), tcp::resolver::numeric_service,
      [this, self = shared_from_this(), is_stale](const error_code& error,
                                                  const tcp::resolver::results_type& found) {
        if (is_stale()) return;
        if (error) return failed(error.message());
        boost::asio::async_connect(
            socket_, found,
            [this, self, is_stale](const error_code& problem, const tcp::endpoint& /*endpoint*/) {
              if (!is_stale()) connected(problem);
            });
      });
}

void NodeSession::State::connected(const error_code& error) {
  if (error) return failed(error.message());
  times_ = {.stall = milliseconds(options_.stall_ms),
            .handshake = milliseconds(options_.connect_ms)};
  try {
    connection_ =
        std::make_shared<Connection>(std::move(socket_), tls_, tls::End::kNode, times_, *this);
  } catch (const std::exception& problem) {
    return failed(problem.what());
  }
  connection_->start();
  tick();
}

void NodeSession::State::tick() {
  const auto connection = connection_;
  if (connection == nullptr) return;
  wait(times_.tick(), [this] { tick(); });
  connection->tick(std::chrono::steady_clock::now());  // may be its end
}

// An attempt, or a session, is over; another follows.
void NodeSession::State::failed(const std::string& text) {
  ++attempt_;
  error_code ignored;
  resolver_.cancel();
  socket_.close(ignored);
  if (events_.link) events_.link(false, text);
  retry();
}

void NodeSession::State::retry() {
  if (is_over_) return;
  const auto without = std::chrono::steady_clock::now() - last_session_;
  auto pause = milliseconds(
      std::min(options_.backoff_max_ms, options_.backoff_min_ms << std::min(failures_, 20)));
  ++failures_;
  pause = std::max(
      milliseconds(1),
      milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) *
                                             (0.5 + 0.5 * random_.next_uniform_double()))));
  if (options_.give_up_ms != 0) {
    const auto left = milliseconds(options_.give_up_ms) - without;
    if (left <= milliseconds(0))
      return end(NodeEnd::Why::kGaveUp, text("no session for ", options_.give_up_ms, " ms"));
    pause = std::min(pause, std::chrono::ceil<milliseconds>(left));
  }
  wait(pause, [this] { connect(); });
}

void NodeSession::State::opened() {
  connection_->send(session::Hello{session::kProtocolVersion, session::kProtocolVersion,
                                   printable(options_.program)});
}

void NodeSession::State::broken(const std::string& text) {
  connection_->say_bye(session::ByeReason::kProtocol, text);
}

void NodeSession::State::closed(const Closing& closing) {
  using Why = NodeEnd::Why;
  if (std::exchange(is_in_session_, false)) last_session_ = std::chrono::steady_clock::now();
  connection_ = nullptr;
  stop_waiting();
  if (closing.how == Closing::How::kOurBye && end_) return end(end_->why, end_->text);
  if (closing.is_certificate_refused) return end(Why::kRefused, "the coordinator: " + closing.text);
  if (closing.how == Closing::How::kPeerBye) {
    if (closing.reason == session::ByeReason::kDone) return end(Why::kDone, closing.text);
    if (closing.reason == session::ByeReason::kRefused ||
        closing.reason == session::ByeReason::kVersion)
      return end(Why::kRefused, closing.text);
  }
  failed(closing.text);
}

void NodeSession::State::end(NodeEnd::Why why, const std::string& text) {
  if (std::exchange(is_over_, true)) return;
  ++attempt_;
  stop_waiting();
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
  events_.ended({why, text});
}

void NodeSession::State::stop() {
  if (is_over_ || end_) return;
  if (connection_ == nullptr || !connection_->is_open()) {
    if (connection_ != nullptr) std::exchange(connection_, nullptr)->abandon();
    return end(NodeEnd::Why::kStopped, "stopped");
  }
  end_ = NodeEnd{NodeEnd::Why::kStopped, "stopped"};
  connection_->say_bye(session::ByeReason::kLeaving, "stopped");
}

void NodeSession::State::abandon() {
  is_over_ = true;
  ++attempt_;
  stop_waiting();
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->abandon();
}

// ---- the session

void NodeSession::State::received(session::Message message) {
  if (const auto* hello = std::get_if<session::Welcome>(&message)) return welcome(*hello);
  failures_ = 0;  // the coordinator means it
  if (const auto* task = std::get_if<session::Task>(&message)) return take_task(*task);
  if (const auto* chunk = std::get_if<session::ModelChunk>(&message)) return take_chunk(*chunk);
  if (const auto* ack = std::get_if<session::Ack>(&message)) return take_ack(*ack);
}

void NodeSession::State::welcome(const session::Welcome& welcome) {
  if (options_.run && *options_.run != welcome.run) {
    end_ = NodeEnd{NodeEnd::Why::kOtherRun,
                   text("expected run ", hex(*options_.run), ", got ", hex(welcome.run))};
    return connection_->say_bye(session::ByeReason::kLeaving, end_->text);
  }
  ++counters_.sessions;
  is_in_session_ = true;
  times_.heartbeat = milliseconds(welcome.heartbeat_ms);
  times_.silence = milliseconds(welcome.silence_ms);
  connection_->set_times(times_);
  if (events_.link) events_.link(true, text("run ", hex(welcome.run)));
}

void NodeSession::State::take_task(const session::Task& task) {
  const bool is_same = work_ && work_->key == task.key && work_->model_digest == task.model &&
                       work_->model_bytes == task.model_bytes && work_->task == task.task;
  if (!is_same) {
    Work work;
    work.key = task.key;
    work.model_digest = task.model;
    work.model_bytes = task.model_bytes;
    work.task = task.task;
    work.deadline_ms = task.deadline_ms;
    if (last_model_ != nullptr && last_digest_ == task.model) {
      work.model = last_model_;
      work.is_whole = true;
    }
    work_ = std::move(work);
    if (task.model_bytes > options_.max_model_bytes) {
      work_->answer =
          NodeAnswer::decline(text("expected a model of at most ", options_.max_model_bytes,
                                   " bytes, got ", task.model_bytes));
    }
  }
  go_on();
}

// What comes next while the task is the node's.
void NodeSession::State::go_on() {
  if (!work_ || connection_ == nullptr || connection_->session().state() != SessionState::kTasked)
    return;
  Work& work = *work_;
  if (work.answer) {
    if (!work.answer->refusal.empty())
      return connection_->send(session::Decline{work.key, work.answer->refusal});
    return connection_->send(
        session::UpdateOffer{work.key, work.answer->update.size(), work.answer->digest});
  }
  if (!work.is_whole) {
    if (work.model == nullptr) forget_model();
    return connection_->send(session::ModelRequest{work.model_digest, work.model->size()});
  }
  if (std::exchange(work.is_given, true)) return;
  events_.work(NodeWork{work.key, work.task, work.model, work.deadline_ms});
}

void NodeSession::State::forget_model() {
  last_model_ = nullptr;
  work_->model = std::make_shared<std::vector<std::uint8_t>>();
  work_->hash = Sha256();
}

void NodeSession::State::take_chunk(const session::ModelChunk& chunk) {
  Work& work = *work_;
  auto& model = *work.model;
  counters_.model_bytes += chunk.bytes.size();
  if (model.capacity() < model.size() + chunk.bytes.size())
    model.reserve(
        std::min<std::uint64_t>(work.model_bytes, 2 * (model.size() + chunk.bytes.size())));
  model.insert(model.end(), chunk.bytes.begin(), chunk.bytes.end());
  work.hash.update(chunk.bytes);
  if (model.size() < work.model_bytes) return;
  if (work.hash.finish() == work.model_digest) {
    work.is_whole = true;
    last_model_ = work.model;
    last_digest_ = work.model_digest;
  } else {
    forget_model();
    if (++work.wrong_digests >= kMaxWrongDigests)
      work.answer = NodeAnswer::decline("the model has not the digest that it was announced with");
  }
  go_on();
}

void NodeSession::State::drained() {
  if (connection_->session().state() != SessionState::kUpdate) return;
  const auto& update = work_->answer->update;
  const auto offset = connection_->session().transferred_bytes();
  const auto count = std::min<std::uint64_t>(kPieceBytes, update.size() - offset);
  const auto from = update.begin() + static_cast<std::ptrdiff_t>(offset);
  session::UpdateChunk chunk{offset, update.size(), {}};
  chunk.bytes.assign(from, from + static_cast<std::ptrdiff_t>(count));
  connection_->send(chunk);
  counters_.update_bytes += count;
}

void NodeSession::State::take_ack(const session::Ack& ack) {
  if (ack.status == AckStatus::kSendFrom) return;  // drained() sends
  work_.reset();
  if (events_.settled) events_.settled(ack.key, ack.status, ack.reason);
}

void NodeSession::State::answer(const session::UpdateKey& key, NodeAnswer answer) {
  if (!work_ || work_->key != key || work_->answer) return;
  work_->answer = std::move(answer);
  go_on();
}

// ---- the class

NodeSession::NodeSession(boost::asio::io_context& io, tls::TlsContext& tls,
                         const NodeOptions& options, NodeEvents events) {
  check(options);
  state_ = std::make_shared<State>(io, tls, options, std::move(events));
}

NodeSession::~NodeSession() { state_->abandon(); }
void NodeSession::start() { state_->start(); }
void NodeSession::answer(const session::UpdateKey& key, NodeAnswer answer) {
  state_->answer(key, std::move(answer));
}
void NodeSession::stop() { state_->stop(); }
const NodeCounters& NodeSession::counters() const { return state_->counters(); }

}  // namespace coppice::gateway
