#pragma once
// Which update this is, and whether it has been applied. A node that loses its connection sends the
// same update again until it is told that it arrived; the ledger makes sure that it counts once.
// Pure values; the ledger belongs to whoever owns the round.

#include <array>    // for array
#include <cstdint>  // for uint8_t
#include <map>      // for map
#include <set>      // for set
#include <string>   // for string

namespace coppice::session {

using RunId = std::array<std::uint8_t, 16>;  // random, made when a run is started

// One answer to one task: of this run and round, by this node, to its `attempt`-th task (from 1) in
// the round. The same task asked again, after a refused or lost answer, is another attempt.
struct UpdateKey {
  RunId run = {};
  std::int64_t round = 0;
  std::string node = {};
  std::uint32_t attempt = 0;

  friend bool operator==(const UpdateKey&, const UpdateKey&) = default;
};

std::string to_text(const UpdateKey& key);  // for logs: "run 0a1b... round 3 node edge-1 attempt 1"

enum class Admission : std::uint8_t {
  kApply,       // never seen, and asked for: apply it now
  kDuplicate,   // applied already; tell the node so, and nothing else
  kSuperseded,  // an earlier attempt than the one that was asked for last
  kLate,        // of a round that is over
  kNotAsked     // of another run, a round to come, a node without a task, or an attempt to come
};

// The updates of one run. A round is opened, nodes are asked, their updates are admitted, the round
// is closed. Remembered are the nodes of the open round, and those of earlier ones whose tasks
// stand; otherwise rounds are known by number.
// Throws Error for calls out of order: those are the caller's mistakes, never a peer's.
class UpdateLedger {
 public:
  // `last_closed` is the newest committed round of a run that goes on; -1 for a new one. What was
  // admitted after it went with the sums that it was added to, and is asked for again.
  explicit UpdateLedger(const RunId& run, std::int64_t last_closed = -1);

  void open(std::int64_t round);  // later than every round before
  // What nodes of `standing` were asked, in this round or before, and was not applied stands: it is
  // admitted once in a later round, if no round asks the node again or is closed without it.
  void close(const std::set<std::string>& standing = {});

  // A task for `node`: the key that its answer carries. Its earlier attempts in this round count no
  // more, nor does a task of an earlier round that stands. Throws Error if an answer of the node
  // has been applied in this round.
  UpdateKey ask(const std::string& node);

  // What admit() would say, without admitting: whether to take an update's bytes at all.
  Admission look(const UpdateKey& key) const;

  // What is to be done with the update `key`. kApply is returned once in the life of a round and
  // node, and only here: the caller applies it before it does anything else.
  Admission admit(const UpdateKey& key);

  bool is_open() const { return is_open_; }
  std::int64_t round() const { return round_; }
  std::int64_t applied_count() const;

 private:
  struct Asked {
    std::uint32_t attempt = 0;
    std::uint32_t applied = 0;  // the attempt that was; 0: none
  };
  struct Standing {
    UpdateKey key;
    bool is_applied = false;
  };

  RunId run_;
  std::int64_t round_;  // the open one, or the last that was
  bool is_open_ = false;
  std::map<std::string, Asked> asked_;
  std::map<std::string, Standing> standing_;  // by node
};

}  // namespace coppice::session
