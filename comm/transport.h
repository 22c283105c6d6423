#pragma once
// Peers that come and go, as the coordinator sees them: it asks nodes by name, and answers come in
// whatever order, from peers that may be gone for a while in between. Whoever implements it (TLS: a
// gateway; tests: a script) sees to it that a question is put again to a node that was away, and
// that an answer arrives whole, from the node it is said to be from, and once.
//
// Owned and called by one thread, the one that drives the rounds.

#include <chrono>    // for milliseconds
#include <cstdint>   // for uint8_t
#include <memory>    // for shared_ptr
#include <optional>  // for optional
#include <set>       // for set
#include <string>    // for string
#include <vector>    // for vector

namespace coppice {

struct NodeQuestion {
  std::string node;
  std::vector<std::uint8_t> task;                          // small, at most 1 MiB
  std::shared_ptr<const std::vector<std::uint8_t>> model;  // not null; nodes may share it
};

enum class NodeEventKind : std::uint8_t {
  kJoined,    // connected, or connected anew
  kLeft,      // gone; its question stands
  kAnswered,  // waits for accept(), refuse() or ask_again()
  kDeclined   // says that it cannot: `reason`; has been told that this is known
};

struct NodeEvent {
  NodeEventKind kind = NodeEventKind::kJoined;
  std::string node;
  std::int64_t step = -1;  // of the question that is answered or declined
  std::vector<std::uint8_t> answer = {};
  std::string reason = {};  // of kLeft and kDeclined
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Asks each node one question, for the step `step`, larger than of any before. Throws Error while
  // one is open.
  virtual void open(std::int64_t step, std::vector<NodeQuestion> questions) = 0;

  // The next event, waiting for one up to `timeout`. Joined and left come at all times.
  virtual std::optional<NodeEvent> next(std::chrono::milliseconds timeout) = 0;

  // What becomes of the node's answer: it counts; it cannot, and why; the node shall try again, at
  // this question.
  virtual void accept(const std::string& node) = 0;
  virtual void refuse(const std::string& node, const std::string& reason) = 0;
  virtual void ask_again(NodeQuestion question) = 0;

  // Ends the step: what comes for it, or for an earlier one, from now on is late, and nodes are
  // told so. But what nodes of `standing` have not answered stands: the answer may come in the next
  // step, if that does not ask the node again.
  virtual void close(const std::set<std::string>& standing) = 0;

  // The run is over: nodes are told so when this ends, and do not come back.
  virtual void finish() = 0;
};

}  // namespace coppice
