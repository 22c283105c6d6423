#pragma once
// What a run writes down about its rounds: a line of metrics.jsonl, a record of the journal, and
// summary.json. Pure conversions; the names of the fields are part of the contract with scripts
// (docs/run_folder.md).

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "coordinator/round_machine.h"
#include "core/json.h"

namespace coppice {

// What the driver measured of a round: wall-clock seconds, and memory; they influence nothing.
struct RoundSeconds {
  double train = 0.0;  // from sending the task to the new global model
  double evaluate = 0.0;
  std::vector<double> busy = {};  // of `train`, a rank each: with clients, not waiting for others
  std::optional<std::int64_t> train_memory_bytes = {};  // of the largest client's training step
};

Json metrics_json(const RoundRecord& record, const RoundSeconds& seconds);

// The journal's record of a commit: metrics, a table with a row a client ("clients": "columns" and
// "rows"), and which checkpoint holds the state.
struct CommitRecord {
  std::int64_t position = 0;
  double norm_median = 0.0;
  std::string checkpoint;  // file name inside the run folder
  std::string checkpoint_sha256;
  Json metrics;

  // As one line of JSON; rows become text one by one, for a large cohort's tree of values takes
  // more memory than the model.
  std::string to_text(const RoundRecord& record) const;
  static CommitRecord from_json(const Json& json);
};

// What must be equal for a resumed run to give the same bits; the journal's first record.
struct RunIdentity {
  std::string version;  // of Coppice
  std::string config_sha256;
  std::string data_sha256;
  std::string executor;  // "libtorch"
  std::string isa;
  std::string libraries;  // versions that influence bits

  Json to_json() const;
  static RunIdentity from_json(const Json& json);
  friend bool operator==(const RunIdentity&, const RunIdentity&) = default;
};

}  // namespace coppice
