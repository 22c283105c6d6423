#pragma once
// The part of a run that every rank does: train its clients, evaluate its share, and meet in one
// reduce. Owned and called by one thread.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

#include "client/local_clients.h"
#include "comm/communicator.h"
#include "core/eval_sums.h"
#include "core/experiment.h"
#include "core/task.h"
#include "deploy/validation.h"
#include "launch/command_frame.h"
#include "launch/world.h"

namespace coppice {

inline constexpr int kRoot = 0;

// Every function is a collective: all ranks call it with the same command.
class Worker {
 public:
  // All three must outlive this.
  Worker(Communicator& communicator, const ExperimentConfig& config, const World& world);

  Executor& executor() { return clients_.executor(); }
  const LocalClients& clients() const { return clients_; }

  // The whole group's report about the clients that are assigned, at rank 0; elsewhere empty.
  RankReport train(const StepCommand& command);

  // At rank 0: for how many seconds each rank was busy with its clients in the last train().
  std::span<const double> busy_seconds() const { return busy_seconds_; }

  // The whole group's sums at rank 0; elsewhere nothing of use.
  struct Evaluation {
    EvalSums test;
    EvalSums validation;
  };
  Evaluation evaluate(const StepCommand& command);

  // The same of the shipped model against the fp32 one, on the test split.
  PairedCounts score_model(const StepCommand& command);

 private:
  // This rank's turns at the clients of its node; they must outlive it.
  LocalClients::NextClient turns(std::span<const std::int64_t> clients);
  std::vector<std::vector<std::uint8_t>> gather_residuals(const ClientTask& task,
                                                          std::span<const Residual> residuals);
  RankReport combine(const StepCommand& command, const ClientTask& task, RankReport report,
                     double busy_seconds);

  Communicator& communicator_;
  const ExperimentConfig& config_;
  const World& world_;
  LocalClients clients_;
  int node_ = 0;
  std::int64_t ranks_on_node_ = 1;
  std::int64_t next_ticket_ = 0;  // of this node
  std::vector<std::int64_t> test_;
  std::vector<std::int64_t> validation_;
  std::vector<double> busy_seconds_;
};

}  // namespace coppice
