#pragma once
// A whole experiment as plain values: what the YAML file, its defaults and the command line resolve
// to. Every field is declared once more, with its range, unit and sentence, in
// core/config/schema.cpp; nothing else reads YAML.

#include <cstdint>   // for int64_t
#include <map>       // for map
#include <optional>  // for optional
#include <string>    // for string
#include <vector>    // for vector

#include "core/codec_options.h"
#include "core/constraints.h"
#include "core/graph.h"
#include "core/local_plan.h"

namespace coppice {

struct ModelConfig {
  std::string name = "lenet5";
  std::vector<LayerSpec> layers;  // own network instead of a name
  std::string init;  // safetensors or ONNX file with initial weights; empty: from the seed
  std::vector<std::int64_t> hidden = {128, 128};  // mlp: units of the hidden layers
  // resnet20: channels of the first stage (16); char_transformer: model width (64). 0: the default.
  std::int64_t width = 0;
  std::int64_t depth = 0;  // char_transformer: blocks (2)
  std::int64_t heads = 0;  // char_transformer: attention heads (4)
  // In [0, 1): before the last layer of mlp, inside the blocks of char_transformer.
  double dropout = 0.0;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct PartitionConfig {
  std::string scheme = "iid";
  std::int64_t clients = 10;
  double alpha = 0.5;
  std::int64_t classes_per_client = 2;
  std::int64_t min_samples = 10;

  friend bool operator==(const PartitionConfig&, const PartitionConfig&) = default;
};

struct DataConfig {
  std::string name = "fashion_mnist";
  std::string root;
  PartitionConfig partition;
  double validation_fraction = 0.1;
  double test_fraction = 0.2;
  std::string text_split = "none";
  std::int64_t context = 64;
  std::string label_column = "label";
  std::string client_column = "client";

  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct TrainConfig {
  std::int64_t rounds = 10;
  std::int64_t clients_per_round = 0;  // 0: all
  std::int64_t local_epochs = 1;
  std::int64_t local_steps = 0;  // 0: epochs; else this many steps instead
  std::int64_t batch_size = 64;
  std::string executor = "auto";  // auto | libtorch
  OptimizerSpec optimizer;
  ScheduleSpec schedule;         // of the learning rate, across rounds
  double clip_norm = 0.0;        // of a step's gradient; 0: off
  double max_update_norm = 0.0;  // a client's update above it is refused; 0: off
  // An update above this multiple of the last committed round's median norm is refused; 0: off.
  double norm_bound_factor = 10.0;
  MemorySpec memory;  // of a client's step; the control has the micro-batch alone

  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

struct StrategyConfig {
  std::string name = "fedavg";
  double mu = 0.01;              // fedprox
  double server_lr = 1.0;        // applied to the mean update
  double server_momentum = 0.0;  // FedAvgM

  friend bool operator==(const StrategyConfig&, const StrategyConfig&) = default;
};

struct PruneConfig {
  std::string pruner = "none";  // none | magnitude
  double target = 0.5;          // parameters kept, as a fraction of the dense model's
  double start = 0.1;           // fraction of the rounds after which shrinking begins
  double end = 0.5;             // fraction of the rounds after which it is done
  std::int64_t steps = 3;       // shrinks on the way
  std::int64_t batches = 8;     // pairs of half-batches whose gradients taylor and fisher look at
  std::int64_t half_batch = 32;
  // Kept units are rounded up so that a group has a multiple of so many channels, where it has as
  // many; 1: not rounded.
  std::int64_t multiple = 1;

  friend bool operator==(const PruneConfig&, const PruneConfig&) = default;
};

// How allocators that regrow weights change the mask.
struct RegrowConfig {
  // Of a layer's kept weights, those that make room in the first adjustment; later ones move fewer,
  // on half a cosine. Absent: what the method's authors take.
  std::optional<double> share = {};
  double ballots = 0.5;    // fedrts: what the clients' ballots count; the mean model has the rest
  double evidence = 10.0;  // fedrts: what one adjustment counts beside the prior's 1 and 1

  friend bool operator==(const RegrowConfig&, const RegrowConfig&) = default;
};

// How the layers' densities and bits are chosen, so that the file fits
// compress.constraints.max_bytes and a sample takes no longer than max_latency.
struct AllocateConfig {
  std::string allocator = "none";  // none | an allocator of `coppice list allocators`
  std::vector<double> densities = {1.0, 0.8,  0.65, 0.5, 0.4,  0.32, 0.25,
                                   0.2, 0.16, 0.13, 0.1, 0.08, 0.06};
  std::vector<double> block_densities;  // of 4x4 blocks, beside those; none: no blocks
  // Of a layer's output channels, with each of the densities and blocks; none: no widths.
  std::vector<double> channel_shares;
  std::vector<std::int64_t> bits = {2, 3, 4, 6, 8};
  double start = 0.2;         // fraction of the rounds after which the first choice is made
  double end = 0.6;           // fraction of the rounds after which the last one is
  std::int64_t steps = 4;     // choices on the way
  std::int64_t batches = 16;  // pairs of half-batches whose gradients a client measures
  std::int64_t half_batch = 32;
  bool class_balance = false;  // half-batches have the class mix of all clients
  RegrowConfig regrow;

  friend bool operator==(const AllocateConfig&, const AllocateConfig&) = default;
};

// Compression in steps of their own size: a choice is judged by the clients' held-out samples after
// some rounds of recovery, and taken back if too little of the dense model's accuracy is left.
struct GateConfig {
  std::int64_t recovery_rounds = 0;  // between a choice and its judgement; 0: nothing is taken back
  double confidence = 0.95;          // of the bounds on the retention

  friend bool operator==(const GateConfig&, const GateConfig&) = default;
};

struct QuantizeConfig {
  std::int64_t bits = 32;  // of weights: 8, 4, or 32 for no quantization
  // Codes of 8 bits keep to [-63, 63], so that integer kernels that add pairs of products in 16
  // bits cannot saturate.
  bool reduce_range = false;
  double start = 0.7;  // fraction of the rounds after which training is quantization-aware
  std::int64_t calibration_samples = 256;  // that each client counts activations of
  // Fraction of the rounds, the last ones, whose models are averaged into the finished one, as far
  // as they are trained on grids.
  double average = 0.0;

  friend bool operator==(const QuantizeConfig&, const QuantizeConfig&) = default;
};

struct DistillConfig {
  std::string teacher = "none";  // none | control | warmup | a checkpoint's file
  double temperature = 2.0;
  double weight = 0.5;          // of the teacher's logits; the labels have the rest
  std::string feature;          // node whose outputs are matched; empty: none
  double feature_weight = 1.0;  // of that term, beside the others
  double start = 0.0;           // fraction of the rounds after which the teacher is listened to
  // A separate network instead of the shrinking one, as model.* describes one; no name and no
  // layers: none.
  ModelConfig student = {.name = {}, .layers = {}, .init = {}};

  bool has_student() const { return !student.name.empty() || !student.layers.empty(); }

  friend bool operator==(const DistillConfig&, const DistillConfig&) = default;
};

struct CompressConfig {
  bool control = false;
  std::string dense_reference;  // a finished run folder whose dense model is compared with
  Constraints constraints;
  PruneConfig prune;
  AllocateConfig allocate;
  GateConfig gate;
  QuantizeConfig quantize;
  DistillConfig distill;
  std::string latency_table;  // file of the device that the model is for; empty: none

  bool allocates() const { return allocate.allocator != "none"; }
  // Whether a choice is taken back that costs too much.
  bool is_gated() const { return gate.recovery_rounds > 0; }
  // Whether the finished model has integers: an allocator gives every layer its bits.
  bool quantizes() const { return quantize.bits != 32 || allocates(); }

  friend bool operator==(const CompressConfig&, const CompressConfig&) = default;
};

// How the model travels to clients.
struct DownlinkConfig {
  std::string codec = "none";  // none: whole, as fp32; else what it has changed by
  CodecOptions options;

  bool sends_changes() const { return codec != "none"; }

  friend bool operator==(const DownlinkConfig&, const DownlinkConfig&) = default;
};

struct CommConfig {
  std::string codec = "dense";
  CodecOptions options;
  // rotated, qsgd: bytes of an update, on average over the clients of a round.
  std::optional<std::int64_t> budget;
  bool error_feedback = false;  // topk, stc
  double residual_decay = 0.9;  // of what a client left out, for each round that it misses
  DownlinkConfig downlink;

  friend bool operator==(const CommConfig&, const CommConfig&) = default;
};

struct EvalConfig {
  std::int64_t every = 1;  // rounds
  std::int64_t batch_size = 500;

  friend bool operator==(const EvalConfig&, const EvalConfig&) = default;
};

// Of clients that are devices of their own (coppice serve).
struct NetworkConfig {
  double quorum = 1.0;
  std::optional<double> deadline_us;
  std::int64_t late = 0;
  double heartbeat_us = 1e6;
  double silence_us = 3e6;
  std::int64_t buffer_bytes = std::int64_t{256} << 20;

  friend bool operator==(const NetworkConfig&, const NetworkConfig&) = default;
};

struct ExperimentConfig {
  std::string name = "experiment";
  std::uint64_t seed = 1;
  ModelConfig model;
  DataConfig data;
  TrainConfig train;
  StrategyConfig strategy;
  CompressConfig compress;
  CommConfig comm;
  EvalConfig eval;
  NetworkConfig network;

  friend bool operator==(const ExperimentConfig&, const ExperimentConfig&) = default;
};

}  // namespace coppice
