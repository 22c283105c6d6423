#pragma once
// How a run looks on the screen: one line a round. On a terminal the line is live, elsewhere (a
// log, a pipe) plain lines come as rounds finish. Only mains and commands use it.

#include <cstdint>  // for int64_t

#include "launch/federation.h"

namespace coppice {

class TerminalObserver final : public RunObserver {
 public:
  TerminalObserver();

  void started(const Start& start) override;
  void noted(const std::string& sentence) override;
  void round_started(const ClientTask& task, std::int64_t rounds) override;
  void round_finished(const RoundRecord& record, const Json& metrics,
                      std::int64_t rounds_left) override;

 private:
  bool is_live_;
  std::int64_t rounds_ = 0;
  double seconds_ = 0.0;  // of the rounds that this process saw finish
  std::int64_t seen_ = 0;
};

// run_federation() as a command shows it: rounds as they finish, then the closing table and where
// the model lies; with `is_json` the summary as the last line. `options.out` empty: runs/NAME.
// Returns the exit code.
int run_on_terminal(Communicator& communicator, const ExperimentConfig& config, RunOptions options,
                    bool is_json);

}  // namespace coppice
