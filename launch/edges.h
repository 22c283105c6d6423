#pragma once
// The clients of a run that are devices of their own, behind a Transport: puts a round's task to
// them, judges what comes back and joins it to the sums that ranks would have had. Owned and called
// by rank 0's thread.

#include <chrono>      // for steady_clock
#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <map>         // for map
#include <memory>      // for shared_ptr
#include <optional>    // for optional
#include <set>         // for set
#include <string>      // for string
#include <vector>      // for vector

#include "comm/data_facts.h"
#include "comm/edge_step.h"
#include "comm/transport.h"
#include "coordinator/answer_sums.h"
#include "coordinator/server_state.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// A sentence that the user should know.
using Note = std::function<void(const std::string& sentence)>;

class Edges {
 public:
  // Frames of the networks that tasks may count on, asked for when a device lacks them.
  struct Others {
    std::function<std::vector<std::uint8_t>()> teacher;
    std::function<std::vector<std::uint8_t>()> reference;
  };

  // `clients` are those that are devices, ascending.
  Edges(std::unique_ptr<Transport> transport, const NetworkConfig& config, EdgeSetup setup,
        std::vector<std::int64_t> clients, Others others, Note note);

  // Whether client `client` is a device.
  bool has(std::int64_t client) const;

  // What data the devices have, in the order of their clients, asked as step `step`: waits for all
  // of them. Throws Error for one that declines, or whose facts cannot be (among them another
  // number of counts than `counted_classes`), and tells it so.
  std::vector<DataFacts> survey(std::int64_t step, std::int64_t counted_classes);

  struct Question {
    const ClientTask& task;    // must outlive collect()
    const ServerState& state;  // what `model_frame` was made from
    const ClientSizes& sizes;  // of all clients; must outlive collect()
    std::vector<std::uint8_t> model_frame;
    std::int64_t model_bytes = 0;            // of it, that each client is counted as receiving
    bool sends_changes = false;              // devices keep the model, for
    std::vector<std::uint8_t> changes = {};  // these, since the last step; empty: it goes whole
  };
  // Puts a task to the devices of its cohort, as step `step` of the run; not to those that are
  // still at an earlier one whose answer may come late.
  void ask(std::int64_t step, Question question);

  // Waits until all of them have answered, or network.deadline has passed and network.quorum of
  // them have. What comes later is refused as late; or, of a training, from a device that is
  // connected as it ends, joins the training at hand when it comes, if that is one of the next
  // network.late and has the client in its cohort. An answer that no client of ours makes, and a
  // device that declines, are noted and missing. Throws Error if the quorum is out of reach.
  RankReport collect();

  // The run is over.
  void finish() { transport_->finish(); }

 private:
  struct Given {  // what a device's process has been given
    bool setup = false;
    bool teacher = false;
    bool reference = false;
    std::int64_t model = -1;  // the number of the one that it keeps (EdgeStep); -1: none

    friend auto operator<=>(const Given&, const Given&) = default;
  };

  DataFacts facts_of(const NodeEvent& event, std::int64_t counted_classes);
  NodeQuestion question_for(std::int64_t client);
  std::shared_ptr<const std::vector<std::uint8_t>> step_with(const Given& given);
  Given needed() const;
  void number_model(const Question& question);
  bool is_change_worth(std::int64_t from) const;
  // The client whose answer or decline `event` is, if it is a device of ours; notes who comes and
  // goes.
  std::optional<std::int64_t> sender(const NodeEvent& event);
  void take(const NodeEvent& event);
  void take_answer(std::int64_t client, const NodeEvent& event);
  void take_late(std::int64_t client, const NodeEvent& event);
  void ask_anew(std::int64_t client);
  void await_late();
  bool is_connected(std::int64_t client) const;
  void count(std::int64_t client, const std::string& node);
  void take_decline(std::int64_t client, const NodeEvent& event);
  void give_up(std::int64_t client, const std::string& reason);
  std::int64_t needed_answers() const;
  bool is_complete() const;
  std::chrono::milliseconds patience() const;

  std::unique_ptr<Transport> transport_;
  NetworkConfig config_;
  EdgeSetup setup_;
  std::vector<std::int64_t> clients_;
  Others others_;
  Note note_;

  // A device that is still at an earlier training.
  struct Late {
    std::shared_ptr<const AnswerSums> then;  // the late ones of a training share it
    std::int64_t last = 0;                   // training that its answer may join
    std::int64_t model = -1;                 // as Given's, once it has answered
  };

  std::map<std::int64_t, Given> given_;   // by client
  std::map<std::int64_t, Late> late_;     // by client
  std::int64_t trainings_ = 0;            // that were asked for
  std::map<std::int64_t, bool> is_here_;  // connected; of clients that have been

  // Of the step at hand.
  const ClientTask* task_ = nullptr;
  EdgeStep step_;                                   // the model whole
  std::vector<std::vector<std::uint8_t>> changes_;  // the last ones of those that led to it
  std::map<Given, std::shared_ptr<const std::vector<std::uint8_t>>> frames_;
  std::int64_t number_ = -1;          // its own
  std::int64_t asked_ = 0;            // devices
  std::int64_t answered_ = 0;         // of them
  std::set<std::int64_t> expected_;   // clients whose answer may yet come
  std::string first_reason_;          // why one was given up
  std::shared_ptr<AnswerSums> sums_;  // kept by who is late
  std::chrono::steady_clock::time_point asked_at_;
};

}  // namespace coppice
