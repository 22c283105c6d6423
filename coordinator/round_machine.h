#pragma once
// The coordinator as a deterministic state machine: events in, actions out. It knows no clock, no
// network and no file; whoever drives it (rank 0 over MPI, a gateway, a simulator, a test) carries
// events and obeys actions. The same events in any order of arrival lead to the same state.
//
//   begin -> SendTask -> ReportArrived x sites
//   -> [SendTask (gate, sense, calibration, gate: those that there are) -> ReportArrived x sites]
//   -> [Evaluate -> Evaluated] -> CommitRound -> Committed -> SendTask ... Finish
//
// Owned and called by one thread.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <optional>    // for optional
#include <set>         // for set
#include <string>      // for string
#include <variant>     // for variant
#include <vector>      // for vector

#include "algorithms/allocator.h"
#include "algorithms/pruner.h"
#include "algorithms/strategy.h"
#include "coordinator/allocation.h"
#include "coordinator/round_plan.h"
#include "coordinator/round_record.h"
#include "coordinator/server_state.h"
#include "core/eval_sums.h"
#include "core/experiment.h"
#include "core/task.h"

namespace coppice {

// Events.
struct ReportArrived {
  std::int64_t site = 0;
  RankReport report;
};
struct TimedOut {};  // the round closes with the reports that are there
struct Joined {
  std::int64_t site = 0;  // expected from the next task on
};
struct Left {
  std::int64_t site = 0;  // no longer expected; a report that arrived before counts
};
struct Evaluated {
  EvalSums test;
  EvalSums validation;
};
struct Committed {};
using Event = std::variant<ReportArrived, TimedOut, Joined, Left, Evaluated, Committed>;

// Actions.
struct SendTask {
  ClientTask task;
};
struct Evaluate {};  // the current global model, state(), its quantization plan included
struct CommitRound {
  RoundRecord record;
};
struct Finish {};
using Action = std::variant<SendTask, Evaluate, CommitRound, Finish>;

class RoundMachine {
 public:
  // `weights[k]` = training samples of client k. `dense` is the model both tracks start from.
  // Throws ConfigError for an unknown strategy, pruner or allocator, a cohort larger than the
  // population, or a grid that the weights overflow, and as check_allocation().
  RoundMachine(ExperimentConfig config, std::vector<std::int64_t> weights, ServerState dense,
               OtherModels others = {}, AllocationInputs known = {});

  // Continues after commits that are on disk, with the state that they left.
  void restore(ServerState state);

  // The first action; `sites` are those whose reports will be waited for.
  Action begin(std::set<std::int64_t> sites);

  // Nothing, or what to do next. Throws Error for an event that the present step does not expect (a
  // driver's mistake); a report of another model version or from an unknown site is ignored.
  std::optional<Action> handle(Event event);

  const ServerState& state() const { return state_; }
  const std::vector<RoundPlan>& plans() const { return plans_; }
  std::int64_t dense_parameters() const { return dense_.graph.parameter_count(); }

  // Whether the tasks of the present round come with changes of the model, counted in their rows
  // here, in place of all of it.
  bool sends_changes() const {
    return config_.comm.downlink.sends_changes() && plan().track == kMainTrack;
  }
  // These changes, since the task before; empty: the model goes whole. Until the next event.
  const std::vector<std::uint8_t>& changes() const { return changes_; }

  // The teacher that tasks with a distillation term mean; graph and parameters outlive the next
  // event only. Null: there is none yet.
  struct TeacherView {
    const Graph* graph = nullptr;
    const std::vector<float>* parameters = nullptr;
  };
  TeacherView teacher() const;

 private:
  // What a round asks of its clients, in this order: to train, to compare the model with the dense
  // one before a choice that may be taken back, to make their tables, to count activations, to
  // compare the finished model.
  enum class Question { kUpdate, kGate, kTable, kCounts, kComparison };
  enum class Step { kIdle, kAwaitingReports, kEvaluating, kCommitting, kFinished };

  const RoundPlan& plan() const { return plans_[static_cast<std::size_t>(state_.position)]; }
  const ServerState& start_of_track() const;
  Action next_task();
  Action ask(Question question, ClientTask task);
  Action ask_next();
  ClientTask make_task() const;
  void add_ballot(ClientTask& task) const;
  ClientTask follow_up() const;
  ClientTask sense_task() const;
  // The mask there is changes, where the allocator regrows.
  bool adjusts() const {
    return is_regrowing_ && state_.choices > 0 && plan().choices > state_.choices;
  }
  bool senses() const;
  bool calibrates() const;
  std::optional<Action> take(ReportArrived event);
  std::optional<Action> close_if_complete();
  Action close_round();
  void close_training();
  void close_regrowth();
  void close_sensing();
  void close_calibration();
  void close_gate();
  bool is_at_target() const;
  void refresh_weight_grids();
  void count_teacher_bytes();
  void count_reference_bytes();
  using IsPlanned = std::function<bool(const RoundPlan&)>;
  std::set<std::int64_t> clients_before(const IsPlanned& is_planned) const;
  void apply_sums(const NamedSums& sums);
  void average_models();
  void keep_teacher();
  void require(Step step, const char* event) const;

  ExperimentConfig config_;
  std::vector<std::int64_t> weights_;
  ServerState dense_;
  OtherModels others_;
  AllocationInputs known_;
  ServerState state_;
  std::vector<RoundPlan> plans_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<Pruner> pruner_;        // null without pruning
  std::unique_ptr<Allocator> allocator_;  // null without allocation
  bool is_regrowing_ = false;             // only its first choice is the allocator's
  Step step_ = Step::kIdle;
  Question question_ = Question::kUpdate;
  std::set<std::int64_t> sites_;    // of the group
  std::set<std::int64_t> waiting_;  // those whose report of this round is outstanding
  std::int64_t max_weight_ = 1;     // of the round's first task
  ClientTask task_;
  std::vector<std::uint8_t> changes_;
  RankReport reports_;
  RoundRecord record_;
};

}  // namespace coppice
