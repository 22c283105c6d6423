#include "comm/gateway/node_link.h"

#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>      // for deque
#include <exception>  // for exception_ptr
#include <mutex>      // for mutex
#include <utility>    // for move

#include "comm/gateway/io_thread.h"
#include "core/error.h"

namespace coppice::gateway {
struct NodeLink::State {
  explicit State(const NodeLinkOptions& options)
      : tls(tls::End::kNode, options.files, tls::or_system_clock(options.clock)),
        session(thread.io(), tls, options.node, events()) {}

  NodeEvents events();
  void push(std::function<void(const NodeHandlers&)> notice);
  void work_off(const NodeHandlers& handlers);

  std::mutex mutex;  // of everything up to `thread`
  std::condition_variable changed;
  std::deque<std::function<void(const NodeHandlers&)>> notices;  // in order, before work
  std::optional<NodeWork> work;                                  // the newest
  std::optional<NodeEnd> end;
  std::exception_ptr failure;
  NodeCounters counters;

  IoThread thread;
  tls::TlsContext tls;  // the thread's, as is the session
  NodeSession session;
};

// What the session calls, on the io thread.
NodeEvents NodeLink::State::events() {
  NodeEvents events;
  events.work = [this](NodeWork next) {
    const std::lock_guard lock(mutex);
    work = std::move(next);
    changed.notify_one();
  };
  events.settled = [this](const session::UpdateKey& key, session::AckStatus status,
                          const std::string& reason) {
    push([=](const NodeHandlers& handlers) {
      if (handlers.settled) handlers.settled(key, status, reason);
    });
  };
  events.link = [this](bool is_connected, const std::string& text) {
    push([=](const NodeHandlers& handlers) {
      if (handlers.link) handlers.link(is_connected, text);
    });
  };
  events.ended = [this](const NodeEnd& ended) {
    const std::lock_guard lock(mutex);
    counters = session.counters();
    end = ended;
    changed.notify_one();
  };
  return events;
}

void NodeLink::State::push(std::function<void(const NodeHandlers&)> notice) {
  const std::lock_guard lock(mutex);
  counters = session.counters();
  // A handler that works for hours while the line comes and goes: the latest news are enough.
  constexpr std::size_t kMaxNotices = 1000;
  if (notices.size() >= kMaxNotices) notices.pop_front();
  notices.push_back(std::move(notice));
  changed.notify_one();
}

void NodeLink::State::work_off(const NodeHandlers& handlers) {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return !notices.empty() || work || end || failure; });
    if (!notices.empty()) {
      const auto notice = std::move(notices.front());
      notices.pop_front();
      lock.unlock();
      notice(handlers);
      lock.lock();
      continue;
    }
    if (failure) std::rethrow_exception(failure);
    if (end) return;
    const NodeWork taken = std::move(*work);
    work.reset();
    lock.unlock();
    NodeAnswer answer = handlers.work(taken);
    boost::asio::post(thread.io(), [this, key = taken.key, answer = std::move(answer)]() mutable {
      session.answer(key, std::move(answer));
    });
    lock.lock();
  }
}

NodeLink::NodeLink(const NodeLinkOptions& options) : state_(std::make_unique<State>(options)) {}

NodeLink::~NodeLink() { state_->thread.stop(); }

NodeEnd NodeLink::run(const NodeHandlers& handlers) {
  State& state = *state_;
  boost::asio::post(state.thread.io(), [&state] { state.session.start(); });
  state.thread.start([&state](std::exception_ptr failure) {
    const std::lock_guard lock(state.mutex);
    state.failure = std::move(failure);
    state.changed.notify_one();
  });
  try {
    state.work_off(handlers);
  } catch (...) {
    state.thread.stop();
    throw;
  }
  state.thread.stop();
  if (state.end->why == NodeEnd::Why::kOtherRun)
    throw CommError("link to the coordinator: " + state.end->text);
  return *state.end;
}

void NodeLink::stop() {
  boost::asio::post(state_->thread.io(), [this] { state_->session.stop(); });
}

NodeCounters NodeLink::counters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counters;
}

}  // namespace coppice::gateway
