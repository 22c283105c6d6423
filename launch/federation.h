#pragma once
// One experiment over a group of ranks: rank 0 coordinates and hosts clients, the others host
// clients. This is where the coordinator and the clients meet, and the whole of a run can be read
// from top to bottom.

#include <cstdint>     // for int64_t
#include <filesystem>  // for path
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <string>      // for string
#include <vector>      // for vector

#include "comm/communicator.h"
#include "comm/session/update_key.h"
#include "comm/transport.h"
#include "coordinator/run_record.h"
#include "core/experiment.h"
#include "core/json.h"
#include "launch/population.h"
#include "launch/shared_step.h"
#include "launch/world.h"

namespace coppice {

// What a network is opened for: the run that it carries, and its nodes.
struct NetworkRequest {
  session::RunId run = {};  // of the run's identity: the same when resumed
  std::vector<std::string> nodes = {};
  std::int64_t max_answer_bytes = 0;
};
using OpenNetwork = std::function<std::unique_ptr<Transport>(const NetworkRequest&)>;

struct RunOptions {
  std::filesystem::path out;
  bool is_resumed = false;
  // Called on rank 0 before anything is written, if some clients are devices of their own; empty:
  // all are simulated.
  OpenNetwork network = {};
  std::vector<std::int64_t> devices = {};  // those clients, ascending; empty: all
};

// What a run tells whoever started it; called on rank 0 only, by the thread that runs.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  struct Start {
    const World& world;
    const Population& population;
    const ExperimentConfig& config;
    int ranks = 1;
    std::int64_t resumed_rounds = 0;
  };
  virtual void started(const Start& start) = 0;
  virtual void round_started(const ClientTask& task, std::int64_t rounds) = 0;
  // A sentence that the user should know.
  virtual void noted(const std::string& sentence) = 0;
  // `rounds_left` over all tracks.
  virtual void round_finished(const RoundRecord& record, const Json& metrics,
                              std::int64_t rounds_left) = 0;
};

struct RunOutcome {
  int exit_code =
      0;  // 0 done, 3 constraints not met; on other ranks also the code that rank 0 failed with
  Json summary;  // rank 0 only
};

// Runs `config` to its end. Every rank calls it with the same arguments; `observer` may be null. On
// rank 0 a failure is thrown after the other ranks were told (they return its exit code), except
// BrokenStep.
RunOutcome run_federation(Communicator& communicator, const ExperimentConfig& config,
                          const RunOptions& options, RunObserver* observer);

}  // namespace coppice
