#pragma once
// Figures about this machine, each measured at least five times after a warm-up and given as median
// with the smallest and largest. Benches print nothing; `coppice bench` shows what they return.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/checkpoint.h"
#include "core/experiment.h"
#include "core/graph.h"
#include "core/json.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/program.h"

namespace coppice {

struct Spread {
  double median = 0.0;  // of an even number: mean of the two in the middle
  double min = 0.0;
  double max = 0.0;

  Json to_json() const;
};
Spread spread_of(std::vector<double> values);  // at least one

struct BenchFigure {
  std::string name;  // "fp32_multiply_add"
  std::string unit;  // "GFLOP/s"
  Spread spread;
};

struct BenchReport {
  std::string subject;  // what was measured, a sentence
  Json facts;           // of the subject, for scripts: config, sizes, instruction set
  std::vector<BenchFigure> figures;
  std::string table;  // shown to people instead of a row a figure; empty: that
};

// What one core computes in registers, and moves to and from memory: GFLOP/s and GB/s. About 5
// seconds.
BenchReport bench_ceilings();

// Every codec of comm/codecs.def: how fast it encodes and decodes, how many bytes it makes, how far
// decoded values are from the values, and how far their mean over keys is. About 10 seconds.
struct CodecBenchSize {
  std::int64_t values = 1 << 18;
  int runs = 21;
  std::int64_t bias_values = 1 << 14;
  int draws = 1000;
};
BenchReport bench_codecs(const CodecBenchSize& size = {});

// Updates of generated models in memory, 2 to 100 of them, added as a run adds them, with every
// codec, on one rank and on two: GB/s of updates, and the share of the rate at which the same ranks
// read them. Also several models in one pass. About 3 minutes and 1.2 GB at full size.
struct AggregateBenchSize {
  std::int64_t least_parameters = 100'000;  // then ten times as many, and so on
  std::int64_t most_parameters = 10'000'000;
  int most_ranks = 2;
};
BenchReport bench_aggregate(const AggregateBenchSize& size = {});

// Null rounds of 1, 10, 100, ... clients on one rank: milliseconds of a round. About 20 seconds.
BenchReport bench_latency();

// Rounds of `config` on one rank, in a run folder that is removed again: steps and samples a
// second, seconds of a round, and of a null round, in which every client takes one step on one
// sample, so that what is left is the round's own cost. The config's data, model, clients and local
// training count; compression and the control are left out, and the number of rounds is the
// bench's. Without a data set of its own (an empty data.name) 6,400 synthetic 28 x 28 images are
// made.
BenchReport bench_round(ExperimentConfig config);

// Rounds of 10, 100, ... clients on 1, 2, ... ranks, each in processes of its own: milliseconds of
// a round, how busy the least busy rank was, and the memory of the coordinating one, which hosts
// clients too. More than one rank only where mpirun is on PATH. Less than a minute.
struct ScalingBenchSize {
  std::int64_t most_clients = 10'000;
  std::int64_t most_ranks = 8;  // and not more than there are cores
};
BenchReport bench_scaling(const ScalingBenchSize& size = {});

// One training step of `graph` on generated samples, on one thread, with each executor in turn:
// milliseconds of both, their ratio pair by pair, and the resident one's arithmetic (forward and
// backward counted as three times the forward pass). Throws KernelError for a graph that only
// LibTorch runs.
BenchReport bench_step(const Graph& graph, const TrainConfig& config);

// How well clients' tables of sensitivities predict what compressing layers does to the loss: the
// config's network trained for its rounds without compression, or `model`, each layer masked and
// put on its grid by a candidate drawn at random, `choices` times; predicted and measured growth of
// the training loss, their rank correlation and the factor between them, also for a table by the
// diagonal of the curvature. Throws ConfigError for a network without weights to quantize.
struct SensitivityBenchSize {
  std::int64_t choices = 30;
  std::int64_t samples = 10'000;  // of all clients' training samples, that losses are measured on
};
BenchReport bench_sensitivity(ExperimentConfig config, std::optional<Checkpoint> model,
                              const SensitivityBenchSize& size = {});

// What an update's bytes buy: the updates of a config's clients after its rounds, or from `model`,
// through every codec, each tuned to the bytes that rotated takes with so many bits: the squared
// error of an update and of the clients' weighted mean. Residuals are left out: one round alone.
struct UplinkBenchSize {
  std::vector<std::int64_t> bits = {1, 2, 3, 4};
  int draws = 10;
};
BenchReport bench_uplink(ExperimentConfig config, std::optional<Checkpoint> model,
                         const UplinkBenchSize& size = {});

// Nodes that connect to a gateway over TLS, and rounds of models down and updates up, each end in a
// process of its own: handshakes a second, memory of a connection, seconds of a round. 1,000 nodes
// take about 20 seconds. Throws ConfigError if this process may not open so many sockets.
struct GatewayBenchSize {
  std::int64_t nodes = 1000;
  std::int64_t model_bytes = 100'000;
  std::int64_t update_bytes = 20'000;
};
BenchReport bench_gateway(const GatewayBenchSize& size = {});
// The fleet, whose files are in `folder`, until the gateway ends it. Throws CommError if a node
// comes to another end.
void run_bench_fleet(const std::filesystem::path& folder, std::uint16_t port,
                     const GatewayBenchSize& size);

// A training step of `graph` layer by layer, with the resident executor on one thread: time, share
// and arithmetic of each against that of multiply-adds in registers, measured in the same run.
// Throws KernelError for a graph that only LibTorch runs.
BenchReport bench_kernels(const Graph& graph, const TrainConfig& config);

// Finished models in the deployment runtime, layer by layer on one thread: time, share, arithmetic
// and what it is of that of multiply-adds in registers of the same kind (fp32, or pairs of 16-bit
// integers), or where there is none the bytes of y += a x in the first-level cache, measured in
// turn with the layers; and how much of its arena a run writes. About two seconds a model. Throws
// ModelError for a program that the runtime does not run.
struct NamedProgram {
  std::string name;
  runtime::Program program;
};
BenchReport bench_runtime(std::span<const NamedProgram> models);

// A latency table of every layer of `graph`, as fp32 and as integers, whatever its weights are, and
// how well it predicts `configurations` networks that pruning could make of it: random widths,
// random empty blocks, 8 or 4 bits a layer, dense or in blocks. Less than a minute
// for networks like resnet20. Throws ConfigError for a network that the engine does not run.
struct LatencyTableBench {
  BenchReport report;
  LatencyTable table;
};
LatencyTableBench bench_latency_table(const Graph& graph, std::int64_t configurations);

}  // namespace coppice
