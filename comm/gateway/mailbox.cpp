#include "comm/gateway/mailbox.h"

#include <utility>  // for move

namespace coppice::gateway {

void Mailbox::push(Entry entry) {
  entries_.push_back(std::move(entry));
  changed_.notify_one();
}

void Mailbox::put(Arrival arrival) {
  const std::lock_guard lock(mutex_);
  push(std::move(arrival));
}

void Mailbox::put(Declined declined) {
  const std::lock_guard lock(mutex_);
  push(std::move(declined));
}

void Mailbox::set_presence(const std::string& node, bool is_here, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  Presence& presence = presence_[node];
  presence.is_here = is_here;
  presence.reason = reason;
  if (std::exchange(presence.is_queued, true)) return;
  push(PresenceChanged{node});
}

void Mailbox::fail(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
  changed_.notify_one();
}

bool Mailbox::has_failed() {
  const std::lock_guard lock(mutex_);
  return failure_ != nullptr;
}

std::optional<Mail> Mailbox::pop() {
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  if (auto* arrival = std::get_if<Arrival>(&entry)) return std::move(*arrival);
  if (auto* declined = std::get_if<Declined>(&entry)) return std::move(*declined);
  const std::string& node = std::get<PresenceChanged>(entry).node;
  Presence& presence = presence_[node];
  presence.is_queued = false;
  if (std::exchange(presence.is_told, presence.is_here) == presence.is_here) return std::nullopt;
  if (presence.is_here) return Joined{node};
  return Left{node, presence.reason};
}

std::optional<Mail> Mailbox::take(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!entries_.empty()) {
      if (auto mail = pop()) return mail;
    }
    if (failure_) std::rethrow_exception(failure_);
    if (changed_.wait_until(lock, until) == std::cv_status::timeout && entries_.empty() &&
        !failure_)
      return std::nullopt;
  }
}

std::uint64_t Mailbox::drop_answers() {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  std::deque<Entry> kept;
  for (Entry& entry : entries_) {
    if (std::holds_alternative<PresenceChanged>(entry)) kept.push_back(std::move(entry));
    if (const auto* arrival = std::get_if<Arrival>(&entry)) bytes += arrival->bytes.size();
  }
  entries_ = std::move(kept);
  return bytes;
}

}  // namespace coppice::gateway
