#pragma once
// What the gateway's io thread has to tell its owner. Private to comm/gateway. Any thread.
//
// Bounded: of each node one change of presence waits at most, and one answer for each attempt.

#include <condition_variable>
#include <deque>      // for deque
#include <exception>  // for exception_ptr
#include <mutex>      // for mutex
#include <variant>    // for variant

#include "comm/gateway/gateway.h"

namespace coppice::gateway {

// An update whose digest nobody has checked yet.
struct Arrival {
  session::UpdateKey key;
  session::Sha256Digest digest;
  std::vector<std::uint8_t> bytes;
};
using Mail = std::variant<Joined, Left, Arrival, Declined>;

class Mailbox {
 public:
  void put(Arrival arrival);
  void put(Declined declined);
  void set_presence(const std::string& node, bool is_here, const std::string& reason);
  void fail(std::exception_ptr failure);  // take() throws it when there is nothing else

  bool has_failed();

  std::optional<Mail> take(std::chrono::milliseconds timeout);
  // Throws away answers that nobody took; returns the bytes of their updates.
  std::uint64_t drop_answers();

 private:
  struct Presence {
    bool is_here = false;
    bool is_told = false;  // what the owner believes
    bool is_queued = false;
    std::string reason;
  };
  struct PresenceChanged {
    std::string node;
  };
  using Entry = std::variant<PresenceChanged, Arrival, Declined>;

  std::optional<Mail> pop();  // nothing if the front entry is no news any more
  void push(Entry entry);

  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  std::deque<Entry> entries_;
  std::map<std::string, Presence> presence_;
  std::exception_ptr failure_;
};

}  // namespace coppice::gateway
