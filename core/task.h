#pragma once
// What travels between the coordinator and those who train: the task of a round, and a rank's
// report about it. They meet here and nowhere else. Plain values.

#include <cstdint>   // for int64_t
#include <map>       // for map
#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "core/codec_options.h"
#include "core/exact_sum.h"
#include "core/local_plan.h"
#include "core/regrow_request.h"
#include "core/weight_candidate.h"

namespace coppice {

// Names of the buffers that clients' answers are summed in.
inline constexpr const char* kUpdateSum =
    "update";  // decoded local - global parameters, times the client's weight
inline constexpr const char* kBallotSum =
    "ballots";  // 1 for each unit that the client would keep, times its weight
inline constexpr const char* kHistogramSum =
    "histograms";  // node after node: how many outputs fell in each bin

inline constexpr const char* kSensitivitySum =
    "sensitivities";  // growth of the client's loss for each candidate, times its weight
inline constexpr const char* kOutcomeSum =
    "outcomes";  // labels that both, only the dense, only this and neither model have right
inline constexpr const char* kMaskBallotSum =
    "mask_ballots";  // 1 for each weight that the client would have in the mask, times its weight

// Asks every client which units to keep. Units and groups are those of couple(graph) for the task's
// graph.
struct BallotRequest {
  std::string pruner;                     // a line of pruners.def
  std::vector<std::int64_t> keep_counts;  // one a group: how many units it shall keep
  // Of pruners that need gradients: pairs of half-batches, and the samples of a half.
  std::int64_t batches = 8;
  std::int64_t half_batch = 32;
  GridSpec grid{1, 0};

  friend bool operator==(const BallotRequest&, const BallotRequest&) = default;
};

// Asks every client to count what its own samples make nodes put out, instead of training. Bins are
// those of algorithms/calibration.h; a client's count of a bin saturates at 2^24.
struct CalibrationRequest {
  std::vector<std::string> nodes;
  std::int64_t samples = 256;  // of each client's training samples, or all it has
  GridSpec grid{25, 0};

  friend bool operator==(const CalibrationRequest&, const CalibrationRequest&) = default;
};

// Asks every client how much its own loss would grow for each way to store each of `parameters`,
// instead of training: a table, parameter after parameter, a value for each of `candidates`
// (algorithms/sensitivity.h).
struct SenseRequest {
  std::vector<std::string> parameters;
  std::vector<WeightCandidate> candidates;  // the same for every parameter
  std::int64_t batches = 16;                // pairs of half-batches that gradients are taken of
  std::int64_t half_batch = 32;             // samples
  // Training samples of each class over all clients: half-batches are drawn as if this client had
  // that mix (client/sensing.h). Empty: all of its samples are as likely.
  std::vector<std::int64_t> class_counts;
  GridSpec grid{20, 20};

  friend bool operator==(const SenseRequest&, const SenseRequest&) = default;
};

// Asks every client to answer for its own held-out samples with the dense model and with this one,
// instead of training, and to count who was right (algorithms/gate.h). Fewer than 2^24 labels a
// client.
struct GateRequest {
  std::int64_t batch_size = 256;  // samples that are answered for at once
  GridSpec grid{24, 0};

  friend bool operator==(const GateRequest&, const GateRequest&) = default;
};

// One round's work, the same for every client of the cohort.
struct ClientTask {
  std::int64_t round = 1;          // of its track; random streams use it
  std::string track;               // "main" or "control"
  std::int64_t model_version = 0;  // commits before it
  std::int64_t mask_epoch = 0;     // shrinks before it
  LocalPlan plan;
  GridSpec update_grid;
  std::int64_t max_weight = 1;  // no sum of this round can have a larger total weight
  std::string codec = "dense";
  CodecOptions codec_options;
  std::vector<CodecOptions> client_options;  // of each client of the cohort; empty: codec_options
  // Present: a client adds what its last update left out before it encodes, times this for each
  // round of its track that it has missed since.
  std::optional<double> residual_decay;
  double norm_bound = 0.0;  // an update with a larger L2 norm is refused; 0: off
  std::optional<BallotRequest> ballot;
  std::optional<RegrowRequest> regrow;            // of a masked model only
  std::optional<CalibrationRequest> calibration;  // present: count, do not train
  std::optional<SenseRequest> sense;              // present: make its table, do not train
  std::optional<GateRequest> gate;                // present: compare, do not train
  std::vector<std::int64_t> cohort;               // client ids, ascending

  bool trains() const { return !calibration && !sense && !gate; }

  friend bool operator==(const ClientTask&, const ClientTask&) = default;
};

enum class ClientStatus : std::uint8_t { kAccepted = 0, kRefused = 1, kMissing = 2 };
enum class RefusalReason : std::uint8_t {
  kNone = 0,
  kNotFinite = 1,
  kOutOfRange = 2,
  kNormAboveBound = 3
};

const char* reason_text(RefusalReason reason);

// What error feedback holds of one client: the part of its updates that has not travelled yet. A
// real client keeps it to itself; of a simulated one it moves with the state of the run, for any
// rank may train it next, and is never counted as traffic.
struct Residual {
  std::int64_t client = 0;
  std::int64_t round = 0;     // of its track, after which it stayed
  std::vector<float> values;  // in the layout of what travels

  friend bool operator==(const Residual&, const Residual&) = default;
};

// One fixed row a client: what the coordinator learns about it beside the sums.
struct ClientRow {
  std::int64_t client = 0;
  std::int64_t weight = 0;  // training samples
  ClientStatus status = ClientStatus::kMissing;
  RefusalReason reason = RefusalReason::kNone;
  double loss = 0.0;  // mean over the local training
  std::int64_t correct = 0;
  std::int64_t labels = 0;
  std::int64_t samples = 0;     // passed through training
  double update_norm = 0.0;     // L2, before encoding
  double seconds = 0.0;         // measured; influences nothing but the placement of clients
  std::int64_t bytes_up = 0;    // encoded
  std::int64_t bytes_down = 0;  // encoded
};

// The options of a client of the cohort. Throws Error for one that is not in it.
const CodecOptions& codec_options_of(const ClientTask& task, std::int64_t client);

// Sums are kept apart by what they are relative to.
struct SumKey {
  std::int64_t model_version = 0;  // of the task
  std::int64_t tier = 0;
  std::int64_t mask_epoch = 0;

  friend auto operator<=>(const SumKey&, const SumKey&) = default;
};

using NamedSums = std::map<std::string, ExactSum>;

// What the sums of `task` are relative to.
SumKey sum_key(const ClientTask& task);

struct RankReport {
  std::map<SumKey, NamedSums> sums;
  std::vector<ClientRow> rows;
  std::vector<Residual> residuals;  // of accepted clients, if the task asks for error feedback

  // Joins another rank's report of the same round. Throws ConfigError if grids or sizes differ.
  void merge(RankReport&& other);
};

// How large a model is, in what clients answer with.
struct SumSizes {
  std::int64_t parameters = 0;
  std::int64_t units = 0;  // of coupling; 0 without a ballot
};

// Bins of one node's histogram.
inline constexpr std::int64_t kHistogramBins = 512;

// The counts in kOutcomeSum.
inline constexpr std::int64_t kOutcomes = 4;

// The empty sums that `task` asks for.
NamedSums empty_sums(const ClientTask& task, SumSizes sizes);

}  // namespace coppice
