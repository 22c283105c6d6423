#pragma once
// One experiment over a group of ranks: rank 0 coordinates and hosts clients, the others host
// clients. This is where the coordinator and the clients meet, and the whole of a run can be read
// from top to bottom.

#include <filesystem>  // for path
#include <string>      // for string

#include "comm/communicator.h"
#include "coordinator/run_record.h"
#include "core/error.h"
#include "core/experiment.h"
#include "core/json.h"
#include "launch/world.h"

namespace coppice {

struct RunOptions {
  std::filesystem::path out;
  bool is_resumed = false;
};

// What a run tells whoever started it; called on rank 0 only, by the thread that runs.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void started(const World& world, const ExperimentConfig& config, int ranks,
                       std::int64_t resumed_rounds) = 0;
  virtual void round_started(const ClientTask& task, std::int64_t rounds) = 0;
  // A sentence that the user should know.
  virtual void noted(const std::string& sentence) = 0;
  // `rounds_left` over all tracks.
  virtual void round_finished(const RoundRecord& record, const Json& metrics,
                              std::int64_t rounds_left) = 0;
};

// A failure while ranks were working together: the others do not know of it and must be aborted.
struct BrokenStep : Error {
  using Error::Error;
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
