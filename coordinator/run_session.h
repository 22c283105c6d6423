#pragma once
// A run on disk: the round machine's commits made durable, and on resume found again. Rank 0 owns
// one; it is called by the thread that drives the rounds. Order of a commit: checkpoint, journal
// record, metrics line; whatever a crash leaves half done is done again, to the same bits.

#include <filesystem>  // for path
#include <memory>      // for unique_ptr
#include <optional>    // for optional
#include <string>      // for string
#include <vector>      // for vector

#include "coordinator/journal.h"
#include "coordinator/round_machine.h"
#include "coordinator/run_folder.h"
#include "coordinator/run_record.h"

namespace coppice {

struct SessionRequest {
  std::filesystem::path out;
  bool is_resumed = false;
  std::string resolved_config;
  RunIdentity identity;
};

// Accuracies of a finished or referenced model.
struct ModelAccuracy {
  std::optional<double> test;
  std::optional<double> validation;
};

class RunSession {
 public:
  // Creates or reopens the folder. On resume `machine` is restored to the last commit, and
  // metrics.jsonl is rewritten from the journal. Throws ConfigError (folder exists, other config,
  // other executor or data) and DataError (damaged journal or checkpoint), having changed nothing.
  RunSession(const SessionRequest& request, RoundMachine& machine);

  // Makes a finished round durable. `state` is the machine's after the round.
  void commit(const RoundRecord& record, const RoundSeconds& seconds, const ServerState& state);

  // The finished model with its provenance, and its file model/model.safetensors.
  Checkpoint finished_model(const ServerState& state, std::int64_t round) const;
  void write_model(const Checkpoint& checkpoint);
  void write_report(const Json& report);
  void write_summary(const Json& summary);

  const std::vector<Json>& metrics() const {
    return metrics_;
  }  // of every committed round, in order
  std::int64_t resumed_rounds() const { return resumed_rounds_; }
  const RunFolder& folder() const { return folder_; }

 private:
  static RunFolder open(const SessionRequest& request);
  void restore(const SessionRequest& request, RoundMachine& machine);

  RunIdentity identity_;
  RunFolder folder_;
  std::unique_ptr<JournalWriter> journal_;
  std::vector<Json> metrics_;
  std::int64_t resumed_rounds_ = 0;
};

// Accuracies of the last round with that phase group: the control's, or the main track's.
ModelAccuracy last_accuracy(const std::vector<Json>& metrics, bool is_control);

}  // namespace coppice
