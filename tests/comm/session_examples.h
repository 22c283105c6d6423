#pragma once
// One message of each type, in the order of their numbers, that belong to one session.

#include <vector>

#include "comm/session/messages.h"

namespace coppice::session {

using Bytes = std::vector<std::uint8_t>;

inline UpdateKey example_key() { return {RunId{1, 2, 3}, 4, "edge-1", 1}; }

inline Sha256Digest example_digest() { return {9, 8, 7}; }

inline std::vector<Message> example_messages() {
  const UpdateKey key = example_key();
  return {Hello{1, 1, "coppice 0.1.0"},
          Welcome{1, key.run, 5000, 15000},
          Task{key, 60000, example_digest(), 6, {1, 2, 3}},
          ModelRequest{example_digest(), 2},
          ModelChunk{2, 6, {3, 4, 5, 6}},
          UpdateOffer{key, 5, example_digest()},
          UpdateChunk{0, 5, {1, 2, 3, 4, 5}},
          Ack{key, AckStatus::kSendFrom, 0, ""},
          Decline{key, "no memory"},
          Heartbeat{7},
          Bye{ByeReason::kLeaving, "see you"}};
}

}  // namespace coppice::session
