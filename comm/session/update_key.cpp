#include "comm/session/update_key.h"

#include <algorithm>  // for count_if

#include "core/error.h"
#include "core/text.h"

namespace coppice::session {

std::string to_text(const UpdateKey& key) {
  return text("run ", hex(key.run), " round ", key.round, " node ", key.node, " attempt ",
              key.attempt);
}

UpdateLedger::UpdateLedger(const RunId& run, std::int64_t last_closed)
    : run_(run), round_(last_closed) {}

void UpdateLedger::open(std::int64_t round) {
  if (is_open_ || round <= round_) {
    throw Error(text("update ledger: expected round ", round_, " closed and a later one to open, ",
                     "got round ", round, is_open_ ? " while it is open" : ""));
  }
  round_ = round;
  is_open_ = true;
  asked_.clear();
}

void UpdateLedger::close(const std::set<std::string>& standing) {
  if (!is_open_) throw Error("update ledger: expected an open round to close, got none");
  is_open_ = false;
  std::erase_if(standing_, [&](const auto& entry) {
    return entry.second.is_applied || !standing.contains(entry.first);
  });
  for (const auto& [node, asked] : asked_) {
    if (asked.applied == 0 && standing.contains(node))
      standing_[node] = {{run_, round_, node, asked.attempt}};
  }
  asked_.clear();
}

UpdateKey UpdateLedger::ask(const std::string& node) {
  if (!is_open_) throw Error("update ledger: expected an open round to ask in, got none");
  Asked& asked = asked_[node];
  if (asked.applied != 0) {
    throw Error(text("update ledger: round ", round_, ": expected a node that has not answered, ",
                     "got ", node));
  }
  ++asked.attempt;
  standing_.erase(node);
  return {run_, round_, node, asked.attempt};
}

Admission UpdateLedger::look(const UpdateKey& key) const {
  if (key.run != run_ || key.round > round_) return Admission::kNotAsked;
  if (!is_open_) return Admission::kLate;
  if (key.round < round_) {
    const auto standing = standing_.find(key.node);
    if (standing == standing_.end() || standing->second.key != key) return Admission::kLate;
    return standing->second.is_applied ? Admission::kDuplicate : Admission::kApply;
  }
  const auto found = asked_.find(key.node);
  if (found == asked_.end() || key.attempt == 0 || key.attempt > found->second.attempt)
    return Admission::kNotAsked;
  const Asked& asked = found->second;
  if (asked.applied == key.attempt) return Admission::kDuplicate;
  if (asked.applied != 0 || key.attempt < asked.attempt) return Admission::kSuperseded;
  return Admission::kApply;
}

Admission UpdateLedger::admit(const UpdateKey& key) {
  const Admission admission = look(key);
  if (admission != Admission::kApply) return admission;
  if (key.round < round_) {
    standing_.at(key.node).is_applied = true;
  } else {
    asked_[key.node].applied = key.attempt;
  }
  return admission;
}

std::int64_t UpdateLedger::applied_count() const {
  return std::count_if(asked_.begin(), asked_.end(),
                       [](const auto& entry) { return entry.second.applied != 0; });
}

}  // namespace coppice::session
