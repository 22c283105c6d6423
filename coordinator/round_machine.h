#pragma once
// The coordinator as a deterministic state machine: events in, actions out. It knows no clock, no
// network and no file; whoever drives it (rank 0 over MPI, a gateway, a simulator, a test) carries
// events and obeys actions. The same events in any order of arrival lead to the same state.
//
//   begin -> SendTask -> ReportArrived x sites -> [SendTask (sense) -> ReportArrived x sites]
//   -> [SendTask (calibration) -> ReportArrived x sites] -> [Evaluate -> Evaluated] -> CommitRound
//   -> Committed -> SendTask ... Finish
//
// Owned and called by one thread.

#include <cstdint>   // for int64_t
#include <memory>    // for unique_ptr
#include <optional>  // for optional
#include <set>       // for set
#include <string>    // for string
#include <variant>   // for variant
#include <vector>    // for vector

#include "algorithms/allocator.h"
#include "algorithms/pruner.h"
#include "algorithms/strategy.h"
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
  // population, or a grid that the weights overflow.
  RoundMachine(ExperimentConfig config, std::vector<std::int64_t> weights, ServerState dense,
               OtherModels others = {});

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

  // The teacher that tasks with a distillation term mean; graph and parameters outlive the next
  // event only. Null: there is none yet.
  struct TeacherView {
    const Graph* graph = nullptr;
    const std::vector<float>* parameters = nullptr;
  };
  TeacherView teacher() const;

 private:
  enum class Step { kIdle, kAwaitingReports, kEvaluating, kCommitting, kFinished };

  const RoundPlan& plan() const { return plans_[static_cast<std::size_t>(state_.position)]; }
  const ServerState& start_of_track() const;
  Action next_task();
  Action send_task(ClientTask task);
  ClientTask make_task() const;
  std::vector<std::int64_t> select_cohort(std::int64_t round) const;
  void add_ballot(ClientTask& task) const;
  void add_regrowth(ClientTask& task) const;
  void add_distillation(ClientTask& task) const;
  ClientTask follow_up_task() const;
  ClientTask sense_task() const;
  ClientTask calibration_task() const;
  // The mask there is changes, where the allocator regrows.
  bool adjusts() const {
    return is_regrowing_ && state_.choices > 0 && plan().choices > state_.choices;
  }
  bool senses() const { return plan().choices > state_.choices && !adjusts(); }
  bool calibrates() const;
  std::optional<Action> take(ReportArrived event);
  std::optional<Action> close_if_complete();
  Action close_round();
  void close_training();
  void close_regrowth();
  void close_sensing();
  void close_calibration();
  void refresh_weight_grids();
  void count_teacher_bytes();
  void apply_sums(const NamedSums& sums);
  void keep_teacher();
  void require(Step step, const char* event) const;

  ExperimentConfig config_;
  std::vector<std::int64_t> weights_;
  ServerState dense_;
  OtherModels others_;
  ServerState state_;
  std::vector<RoundPlan> plans_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<Pruner> pruner_;        // null without pruning
  std::unique_ptr<Allocator> allocator_;  // null without allocation
  bool is_regrowing_ = false;             // only its first choice is the allocator's
  Step step_ = Step::kIdle;
  std::set<std::int64_t> sites_;    // of the group
  std::set<std::int64_t> waiting_;  // those whose report of this round is outstanding
  ClientTask task_;
  RankReport reports_;
  RoundRecord record_;
};

}  // namespace coppice
