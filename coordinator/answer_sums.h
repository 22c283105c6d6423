#pragma once
// Joins the answers of clients that are not simulated by a rank to the sums of a round: what comes
// in by a network is decoded, judged again and added here, with the result that a rank would have
// had. Owned and called by one thread.

#include <cstdint>  // for int64_t
#include <set>      // for set
#include <span>     // for span
#include <string>   // for string
#include <utility>  // for move
#include <vector>   // for vector

#include "comm/client_answer.h"
#include "core/graph.h"
#include "core/mask.h"
#include "core/task.h"

namespace coppice {

// What the coordinator knows of its clients' data.
struct ClientSizes {
  std::vector<std::int64_t> weights;            // training samples of client k
  std::vector<std::int64_t> validation_labels;  // of its held-out samples
};

class AnswerSums {
 public:
  // `task`, `graph` and `mask` (of size 0: none) are those that clients were sent; `sizes` must
  // outlive this. `bytes_down` is what each client received.
  AnswerSums(ClientTask task, Graph graph, Mask mask, const ClientSizes& sizes,
             std::int64_t bytes_down);

  // Adds the answer of `client`, once: what comes a second time changes nothing. A client that
  // refuses itself, or whose values are not finite, outside the grid or above the task's bound on
  // norms, gets a row that says so and adds nothing. Throws WireError, having added nothing, for an
  // answer that no client of ours makes: of another client, of a wrong weight, with figures that
  // cannot be, without a frame that the task asks for, with others, or with one that cannot be read
  // or counts more than the client has.
  void add(std::int64_t client, const ClientAnswer& answer);

  // Why an update for the task of `then` cannot be one of this task's; empty: it can. The two train
  // the same network, of which one may keep other weights.
  std::string not_projected(const AnswerSums& then) const;

  // Adds an answer to the task of `then`, which came late, in place of the client's answer to this
  // one. It is judged as add() there would have; of its update the values of weights that both
  // masks keep are added here, and nothing of what else it was asked. Throws as add(), and Error if
  // not_projected().
  void add_late(std::int64_t client, const AnswerSums& then, const ClientAnswer& answer);

  bool has(std::int64_t client) const { return added_.contains(client); }

  // What was added; nothing may be added afterwards. What came late to another one may still be
  // judged by this one.
  RankReport take();

 private:
  void check(std::int64_t client, const ClientAnswer& answer) const;
  void check_figures(const ClientRow& row) const;
  void check_counts(const ClientRow& row, const std::string& name,
                    std::span<const float> values) const;
  ClientRow counted(const ClientAnswer& answer) const;
  RefusalReason read_update(const ClientRow& row, const std::vector<std::uint8_t>& frame,
                            std::vector<float>& update) const;
  void add_row(ClientRow row);

  ClientTask task_;
  Graph graph_;
  Mask mask_;  // of what travels
  const ClientSizes& sizes_;
  std::vector<std::int64_t> counted_outputs_;  // a sample, of each node of a calibration
  std::int64_t bytes_down_;
  std::set<std::int64_t> added_;
  NamedSums sums_;               // until take()
  std::set<std::string> names_;  // of them: what is asked for
  std::vector<ClientRow> rows_;
};

}  // namespace coppice
