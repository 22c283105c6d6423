// Configs as users write them: what is read, what is refused and how, and that the resolved text is
// the same config.
#include "core/config/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"

namespace coppice {
namespace {

ExperimentConfig parsed(std::string_view yaml, const std::vector<std::string>& overrides = {}) {
  return parse_config(yaml, "x.yaml", overrides);
}

std::string error_of(std::string_view yaml, const std::vector<std::string>& overrides = {}) {
  try {
    parsed(yaml, overrides);
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

// No key at its default but those that name a model, which a test of its own covers.
constexpr std::string_view kEveryKey = R"(name: all-keys
seed: 18446744073709551615
model: {name: mlp, init: "w \"1\".st", hidden: [], width: 8, depth: 3, heads: 2, dropout: 0.25}
data:
  name: csv
  root: /data/été
  partition: {scheme: dirichlet, clients: 20, alpha: 0.1, classes_per_client: 3, min_samples: 1}
  validation_fraction: 0.2
  test_fraction: 0.3
  text_split: book
  context: 32
  label_column: "null"
  client_column: "true"
train:
  rounds: 7
  clients_per_round: 5
  local_epochs: 2
  local_steps: 9
  batch_size: 16
  executor: libtorch
  optimizer: {name: adamw, lr: 1e-3, weight_decay: 1e-5, beta1: 0.8, beta2: 0.99, epsilon: 1e-7}
  schedule: {name: step, warmup_rounds: 1, min_factor: 0.5, step_rounds: 4, gamma: 0.3}
  clip_norm: 1.5
  max_update_norm: 3
  norm_bound_factor: 0
  memory: {micro_batch: 8, relu_bits: true, fused_pools: true, saved_bits: 8, freeze_first: 1}
strategy: {name: fedprox, mu: 0.1, server_lr: 0.5, server_momentum: 0.9}
compress:
  control: true
  constraints:
    max_bytes: 22KiB
    max_latency: 1.5ms
    max_latency_p99: 0.1us
    max_peak_memory: 1.5MB
    min_retention: 0.985
    device: edge
  prune: {pruner: magnitude, target: 0.3, start: 0.25, end: 0.75, steps: 5, multiple: 8,
          batches: 4, half_batch: 16}
  allocate: {allocator: joint, densities: [0.5], block_densities: [0.25, 0.75], channel_shares: [0.5], bits: [4, 8], start: 0.1, end: 0.7, steps: 2, batches: 3, half_batch: 5, class_balance: true, regrow: {share: 0.3, ballots: 0.25, evidence: 2}}
  gate: {confidence: 0.9}   # its rounds do not go with a pruner
  latency_table: phone.json
  quantize: {bits: 8, reduce_range: true, start: 0.8, calibration_samples: 99, average: 0.25}
  distill:
    teacher: control
    temperature: 4
    weight: 0.7
    feature: relu3
    feature_weight: 3
    start: 0.2
    student: mlp
    student_hidden: [8]
    student_width: 4
    student_depth: 1
comm:
  {codec: stc, bits: 3, fraction: 0.25, levels: 9, error_feedback: true, residual_decay: 0.5,
   downlink: {codec: topk, bits: 2, fraction: 0.75, levels: 10}}
eval: {every: 2, batch_size: 100}
network: {quorum: 0.8, deadline: 5s, late: 2, heartbeat: 100ms, silence: 1s, buffer: 1MiB}
)";

TEST(ConfigTest, KeysReachTheirFields) {
  const ExperimentConfig config = parsed(kEveryKey);
  EXPECT_EQ(config.name, "all-keys");
  EXPECT_EQ(config.seed, 18446744073709551615ULL);
  EXPECT_EQ(config.model.init, "w \"1\".st");
  EXPECT_TRUE(config.model.hidden.empty());
  EXPECT_EQ(config.data.root, "/data/été");
  EXPECT_EQ(config.data.partition.alpha, 0.1);
  EXPECT_EQ(config.data.label_column, "null");
  EXPECT_EQ(config.train.optimizer.kind, OptimizerKind::kAdamW);
  EXPECT_EQ(config.train.optimizer.lr, 1e-3);
  EXPECT_EQ(config.train.schedule.kind, ScheduleKind::kStep);
  EXPECT_EQ(config.train.memory, (MemorySpec{.micro_batch = 8,
                                             .relu_bits = true,
                                             .fused_pools = true,
                                             .saved_bits = 8,
                                             .freeze_first = 1}));
  EXPECT_EQ(config.compress.constraints.max_bytes, 22 * 1024);
  EXPECT_EQ(config.compress.constraints.max_latency_us, 1500.0);
  EXPECT_EQ(config.compress.constraints.max_latency_p99_us, 0.1);
  EXPECT_EQ(config.compress.constraints.max_peak_memory, 1'500'000);
  EXPECT_EQ(config.compress.prune.steps, 5);
  EXPECT_EQ(config.compress.prune.multiple, 8);
  EXPECT_EQ(config.compress.allocate.densities, std::vector<double>{0.5});
  EXPECT_EQ(config.compress.allocate.block_densities, (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(config.compress.allocate.channel_shares, std::vector<double>{0.5});
  EXPECT_EQ(config.compress.allocate.bits, (std::vector<std::int64_t>{4, 8}));
  EXPECT_TRUE(config.compress.allocate.class_balance);
  EXPECT_EQ(config.compress.gate.confidence, 0.9);
  EXPECT_EQ(config.compress.allocate.regrow,
            (RegrowConfig{.share = 0.3, .ballots = 0.25, .evidence = 2.0}));
  EXPECT_EQ(config.compress.latency_table, "phone.json");
  EXPECT_EQ(config.compress.quantize.bits, 8);
  EXPECT_TRUE(config.compress.quantize.reduce_range);
  EXPECT_EQ(config.compress.distill.student.name, "mlp");
  EXPECT_EQ(config.compress.distill.student.hidden, (std::vector<std::int64_t>{8}));
  EXPECT_EQ(config.comm.options, (CodecOptions{.bits = 3, .fraction = 0.25, .levels = 9}));
  EXPECT_TRUE(config.comm.error_feedback);
  EXPECT_EQ(config.comm.residual_decay, 0.5);
  EXPECT_FALSE(config.comm.budget);
  EXPECT_EQ(parsed("comm: {codec: rotated, budget: 3kB}").comm.budget, 3000);
  EXPECT_EQ(config.comm.downlink.codec, "topk");
  EXPECT_EQ(config.comm.downlink.options,
            (CodecOptions{.bits = 2, .fraction = 0.75, .levels = 10}));
  EXPECT_EQ(config.eval.batch_size, 100);
}

TEST(ConfigTest, ResolvedTextHasEveryKeyAndLoadsToAnEqualConfig) {
  const ExperimentConfig config = parsed(kEveryKey);
  const std::string resolved = resolved_yaml(config);
  EXPECT_EQ(parsed(resolved), config);
  EXPECT_EQ(resolved_yaml(parsed(resolved)), resolved);
  const ExperimentConfig defaults;
  EXPECT_EQ(parsed(resolved_yaml(defaults)), defaults);

  // Line by line against the defaults: a key that kEveryKey forgets, or that does not reach the
  // text, would be equal.
  std::istringstream lines(resolved), default_lines(resolved_yaml(defaults));
  const std::vector<std::string> same_as_defaults = {
      "  layers: []",           "  dense_reference: \"\"", "    momentum: 0",
      "    student_layers: []", "    recovery_rounds: 0",  "  budget: null"};
  for (std::string line, other; std::getline(lines, line);) {
    ASSERT_TRUE(std::getline(default_lines, other));
    const bool is_section = line.ends_with(':');
    const bool is_same =
        std::find(same_as_defaults.begin(), same_as_defaults.end(), line) != same_as_defaults.end();
    EXPECT_EQ(line == other, is_section || is_same) << line;
  }
}

TEST(ConfigTest, HashIsOfTheMeaningNotOfTheSpelling) {
  const std::string spelled = config_sha256(parsed("train: {rounds: 5, optimizer: {lr: 0.010}}"));
  EXPECT_EQ(spelled, config_sha256(parsed("# five\ntrain:\n  rounds: 5\n")));
  EXPECT_EQ(spelled, config_sha256(parsed("name: experiment", {"train.rounds=5"})));
  EXPECT_NE(spelled, config_sha256(parsed("train: {rounds: 6}")));
  EXPECT_EQ(spelled.size(), 64U);
}

TEST(ConfigTest, OverridesComeAfterTheFileInOrder) {
  const ExperimentConfig config = parsed(
      "train: {rounds: 5}\nmodel: {name: mlp}\ncompress: {control: true, constraints: {max_bytes: "
      "4}}",
      {"train.rounds=6", "train.rounds=7", "model.hidden=[32,16]", "data.partition.alpha=0.1",
       "compress.prune={pruner: magnitude, target: 0.4}", "compress.constraints.max_bytes=null",
       "data.root="});
  EXPECT_EQ(config.train.rounds, 7);
  EXPECT_EQ(config.model.hidden, (std::vector<std::int64_t>{32, 16}));
  EXPECT_EQ(config.data.partition.alpha, 0.1);
  EXPECT_EQ(config.compress.prune.pruner, "magnitude");
  EXPECT_EQ(config.compress.prune.target, 0.4);
  EXPECT_TRUE(config.compress.control);
  EXPECT_FALSE(config.compress.constraints.max_bytes.has_value());
  EXPECT_EQ(config.data.root, "");
}

TEST(ConfigTest, SectionWithoutKeysKeepsItsDefaults) {
  const ExperimentConfig defaults;
  EXPECT_EQ(parsed("name: experiment\ntrain:\n  # rounds: 5\n"), defaults);
}

struct BadConfig {
  std::string yaml;
  std::string message;  // the whole of it
};

TEST(ConfigErrorTest, MessagesSayPlaceKeyExpectedAndGot) {
  const std::vector<BadConfig> cases = {
      {"train: {round: 5}", "x.yaml:1:9: unknown key 'train.round'; did you mean 'train.rounds'?"},
      {"name: a\ntrian:\n  rounds: 5\n", "x.yaml:2:1: unknown key 'trian'; did you mean 'train'?"},
      {"train:\n  lr: 0.1\n",
       "x.yaml:2:3: unknown key 'train.lr'; did you mean 'train.optimizer.lr'?"},
      {"rounds: 5", "x.yaml:1:1: unknown key 'rounds'; did you mean 'train.rounds'?"},
      {"train.rounds: 5",
       "x.yaml:1:1: 'train.rounds': in a file a section's keys stand below it, without dots"},
      {"train: {rounds: 5, rounds: 6}",
       "x.yaml:1:20: duplicate key 'rounds'; it was first given at line 1, column 9"},
      {"train: {rounds: ten}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got 'ten'"},
      {"train: {rounds: \"10\"}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got the text \"10\""},
      {"train: {rounds: 0}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got '0'"},
      {"train: {rounds: 1e3}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got '1e3'"},
      {"train: {rounds: 99999999999999999999}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got "
       "'99999999999999999999'"},
      {"train: {rounds: [5]}",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got a list"},
      {"train: {rounds: }",
       "x.yaml:1:17: train.rounds: expected an integer from 1 to 1000000, got nothing"},
      {"train: 5", "x.yaml:1:8: train: expected a map of keys, got '5'"},
      {"- train", "x.yaml:1:1: expected a map of keys, got a list"},
      {"", "x.yaml: expected a map of keys, got an empty document"},
      {"train: {optimizer: {lr: .nan}}",
       "x.yaml:1:25: train.optimizer.lr: expected a number above 0, at most 1000, got '.nan'"},
      {"train: {optimizer: {lr: inf}}",
       "x.yaml:1:25: train.optimizer.lr: expected a number above 0, at most 1000, got 'inf'"},
      {"train: {optimizer: {lr: 0}}",
       "x.yaml:1:25: train.optimizer.lr: expected a number above 0, at most 1000, got '0'"},
      {"train: {optimizer: {momentum: 1}}",
       "x.yaml:1:31: train.optimizer.momentum: expected a number at least 0, below 1, got '1'"},
      {"train: {optimizer: {name: sgdm}}",
       "x.yaml:1:27: train.optimizer.name: expected one of sgd, adamw, got 'sgdm'; did you mean "
       "'sgd'?"},
      {"compress: {control: yes}",
       "x.yaml:1:21: compress.control: expected true or false, got 'yes'"},
      {"compress: {constraints: {max_bytes: 22XB}}",
       "x.yaml:1:37: compress.constraints.max_bytes: expected bytes such as 22KiB, 1.5MB or 4096, "
       "got '22XB'"},
      {"compress: {constraints: {max_latency: 1}}",
       "x.yaml:1:39: compress.constraints.max_latency: expected a duration such as 250us, 1ms or "
       "2s, got '1'"},
      {"model: {name: mlp, hidden: [32, 0]}",
       "x.yaml:1:33: model.hidden: expected an integer from 1 to 65536, got '0'"},
      {"model: {hidden: 32}",
       "x.yaml:1:17: model.hidden: expected a list of at most 64 integers from 1 to 65536, got "
       "'32'"},
      {"name: a/b",
       "x.yaml:1:7: name: expected a word of letters, digits, '.', '_' and '-', got 'a/b'"},
      {"data: {root: \"a\\nb\"}",
       "x.yaml:1:14: data.root: expected one line of text without control characters"},
      {"seed: -1",
       "x.yaml:1:7: seed: expected an integer from 0 to 18446744073709551615, got '-1'"},
  };
  for (const BadConfig& bad : cases) EXPECT_EQ(error_of(bad.yaml), bad.message) << bad.yaml;
}

TEST(ConfigErrorTest, ErrorsOfTheCommandLineSaySo) {
  EXPECT_EQ(error_of("name: a", {"train.rounds"}),
            "command line: expected key=value, got 'train.rounds'");
  EXPECT_EQ(error_of("name: a", {"=5"}), "command line: expected key=value, got '=5'");
  EXPECT_EQ(error_of("name: a", {"train.round=5"}),
            "command line: unknown key 'train.round'; did you mean 'train.rounds'?");
  EXPECT_EQ(error_of("name: a", {"train={round: 5}"}),
            "command line: unknown key 'train.round'; did you mean 'train.rounds'?");
  EXPECT_EQ(error_of("name: a", {"train.rounds=x"}),
            "command line: train.rounds: expected an integer from 1 to 1000000, got 'x'");
  EXPECT_EQ(error_of("name: a", {"train.rounds="}),
            "command line: train.rounds: expected an integer from 1 to 1000000, got the text \"\"");
  EXPECT_EQ(error_of("name: a", {"model.hidden=[1"}),
            "command line: model.hidden=[1: a key must be a plain word; is a bracket left open?");
  EXPECT_EQ(error_of("name: a", {"name=\"a"}),
            "command line: name=\"a: not YAML: illegal EOF in scalar");
  EXPECT_EQ(error_of("name: a", {"train.clients_per_round=11"}),
            "command line: train.clients_per_round: expected at most the 10 of "
            "data.partition.clients, got 11");
}

TEST(ConfigErrorTest, ValuesThatDoNotGoTogetherAreRefusedAtTheirPlace) {
  const std::vector<BadConfig> cases = {
      {"train: {clients_per_round: 20}",
       "x.yaml:1:28: train.clients_per_round: expected at most the 10 of data.partition.clients, "
       "got 20"},
      {"data: {partition: {clients: 0}}",
       "x.yaml:1:29: data.partition.clients: 0 takes all natural clients of by_key; iid needs at "
       "least 1"},
      {"compress: {prune: {start: 0.6}}",
       "x.yaml:1:27: compress.prune.start: expected less than the 0.5 of compress.prune.end, got "
       "0.6"},
      {"train: {rounds: 3, schedule: {warmup_rounds: 3}}",
       "x.yaml:1:46: train.schedule.warmup_rounds: expected less than the 3 of train.rounds, got "
       "3"},
      {"train: {optimizer: {name: adamw, momentum: 0.9}}",
       "x.yaml:1:44: train.optimizer.momentum: adamw has none, got 0.9; set beta1 instead and "
       "momentum to 0"},
      {"compress: {constraints: {min_retention: 0.9}}",
       "x.yaml:1:41: compress.constraints.min_retention: there is no dense model to compare with; "
       "set "
       "compress.control: true or give a compress.dense_reference"},
      {"data: {validation_fraction: 0}\ncompress: {control: true, constraints: {min_retention: "
       "0.9}}",
       "x.yaml:2:56: compress.constraints.min_retention: retention is decided on validation "
       "samples; set "
       "data.validation_fraction above 0"},
      {"compress: {gate: {recovery_rounds: 2}}",
       "x.yaml:1:36: compress.gate.recovery_rounds: there are no choices to judge; set "
       "compress.allocate.allocator"},
      {"compress: {gate: {recovery_rounds: 2}, allocate: {allocator: joint}, constraints: "
       "{max_bytes: 900}}",
       "x.yaml:1:36: compress.gate.recovery_rounds: there is nothing to judge by; set "
       "compress.constraints.min_retention"},
      {"compress: {gate: {recovery_rounds: 5}, allocate: {allocator: joint}, control: true, "
       "constraints: {max_bytes: 900, min_retention: 0.9}}",
       "x.yaml:1:36: compress.gate.recovery_rounds: expected at most the 4 of the 10 rounds "
       "between compress.allocate.start and end, got 5"},
      {"compress: {quantize: {bits: 4, reduce_range: true}}",
       "x.yaml:1:46: compress.quantize.reduce_range: narrows codes of 8 bits; "
       "compress.quantize.bits is 4"},
      {"compress: {control: true, dense_reference: runs/a}",
       "x.yaml:1:44: compress.dense_reference: compress.control is true as well; keep one of them"},
      {"model: {name: mlp, layers: [{op: flatten}]}",
       "x.yaml:1:15: model.name: 'mlp' and model.layers are given together; give one of them"},
      {"comm: {codec: int8, budget: 3kB}",
       "x.yaml:1:29: comm.budget: codec 'int8' keeps to no bytes; rotated and qsgd do"},
      {"comm: {codec: rotated, error_feedback: true}",
       "x.yaml:1:40: comm.error_feedback: codec 'rotated' leaves nothing out; topk and stc do"},
      {"comm: {downlink: {codec: dadaquant}}",
       "x.yaml:1:26: comm.downlink.codec: dadaquant is about clients; qsgd has the same codes"},
      {"network: {silence: 900ms}",
       "x.yaml:1:20: network.silence: expected more than network.heartbeat: a connection that "
       "beats "
       "in time would be lost"},
      {"network: {quorum: 0.5}",
       "x.yaml:1:19: network.quorum: a round waits for all of its devices unless network.deadline "
       "is set"},
      {"network: {late: 1}",
       "x.yaml:1:17: network.late: nothing is late unless network.deadline is set and "
       "network.quorum is below 1"},
      {"network: {late: 1, deadline: 5s}",
       "x.yaml:1:17: network.late: nothing is late unless network.deadline is set and "
       "network.quorum is below 1"},
      {"model: {name: \"\"}", "x.yaml:1:15: model.name: neither a name nor model.layers is given"},
  };
  for (const BadConfig& bad : cases) EXPECT_EQ(error_of(bad.yaml), bad.message) << bad.yaml;
  EXPECT_EQ(
      error_of("data: {partition: {scheme: by_key, clients: 0}}\ntrain: {clients_per_round: 16}"),
      "");
}

TEST(ConfigErrorTest, AnyNumberOfRoundsMayPrune) {
  EXPECT_EQ(error_of("train: {rounds: 1}\ncompress: {prune: {pruner: magnitude, steps: 3}}"), "");
}

TEST(ConfigErrorTest, LongHostileNamesAreQuotedShort) {
  EXPECT_LT(error_of(std::string(100'000, 'k') + ": 1").size(), 400U);
  EXPECT_LT(error_of("train: {rounds: " + std::string(100'000, '1') + "}").size(), 400U);
  EXPECT_LT(error_of("name: a", {std::string(100'000, 'k') + "=[1"}).size(), 400U);
  EXPECT_LT(error_of("model: {layers: [{" + std::string(100'000, 'k') + ": 1}]}").size(), 600U);
}

TEST(ConfigLayersTest, AttributesAreReadByTheirType) {
  const ExperimentConfig config = parsed(R"(
model:
  layers:
    - {op: normalize, mean: 0.5, deviation: 0.25}
    - {op: conv2d, name: c, out: 6, kernel: 5, stride: [1, 2], bias: false}
    - {op: add, inputs: [c, c]}
    - {op: relu, inputs: c}
)");
  ASSERT_EQ(config.model.layers.size(), 4U);
  EXPECT_EQ(config.model.name, "");
  EXPECT_EQ(config.model.layers[0].attributes.deviation, 0.25);
  EXPECT_EQ(config.model.layers[1].attributes.kernel, (Pair{5, 5}));
  EXPECT_EQ(config.model.layers[1].attributes.stride, (Pair{1, 2}));
  EXPECT_FALSE(config.model.layers[1].attributes.bias);
  EXPECT_EQ(config.model.layers[2].inputs, (std::vector<std::string>{"c", "c"}));
  EXPECT_EQ(config.model.layers[3].inputs, (std::vector<std::string>{"c"}));
  EXPECT_EQ(parsed(resolved_yaml(config)), config);
}

TEST(ConfigLayersTest, MistakesNameLayerAttributeAndNearest) {
  const auto error_of_layer = [](const std::string& layer) {
    return error_of("model:\n  layers:\n    - {op: flatten}\n    - " + layer + "\n");
  };
  EXPECT_EQ(error_of_layer("{op: conv2d, kernal: 5}")
                .find("x.yaml:4:20: model.layers: layer 2: unknown layer attribute 'kernal'; did "
                      "you mean 'kernel'?"),
            0U)
      << error_of_layer("{op: conv2d, kernal: 5}");
  EXPECT_EQ(
      error_of_layer("{op: conv3d}").find("x.yaml:4:12: model.layers: layer 2: op: unknown op"), 0U)
      << error_of_layer("{op: conv3d}");
  EXPECT_NE(error_of_layer("{op: conv3d}").find("did you mean 'conv2d'"), std::string::npos);
  EXPECT_EQ(error_of_layer("{op: linear, bias: 1}"),
            "x.yaml:4:26: model.layers: layer 2: bias: expected true or false, got '1'");
  EXPECT_EQ(error_of_layer("{op: conv2d, kernel: [1, 2, 3]}"),
            "x.yaml:4:28: model.layers: layer 2: kernel: expected an integer from 0 to 16777216, "
            "or two of them: "
            "[height, width], got a list");
  EXPECT_EQ(error_of_layer("{out: 3}"),
            "x.yaml:4:7: model.layers: layer 2: a layer needs an op, for example {op: relu}");
  EXPECT_EQ(error_of_layer("relu"),
            "x.yaml:4:7: model.layers: layer 2: expected a layer such as {op: linear, out: 10}, "
            "got 'relu'");
}

TEST(ConfigSamplesTest, EveryFileInConfigsLoads) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(COPPICE_SOURCE_DIR "/configs")) {
    const bool is_experiment = entry.path().parent_path().filename() != "net";  // or a network's
    if (entry.path().extension() != ".yaml" || !is_experiment) continue;
    ++files;
    ExperimentConfig config;
    ASSERT_NO_THROW(config = load_config(entry.path())) << entry.path();
    EXPECT_EQ(parsed(resolved_yaml(config)), config) << entry.path();
  }
  EXPECT_GE(files, 6);
}

TEST(ConfigSamplesTest, OwnNetworkIsAValidGraph) {
  const ExperimentConfig config = load_config(COPPICE_SOURCE_DIR "/configs/own_network.yaml");
  InputSpec input;
  input.shape = {1, 28, 28};
  const Graph graph = Graph::build(input, config.model.layers);
  EXPECT_EQ(graph.output().shape, (Shape{10}));
}

TEST(ConfigSamplesTest, MainJobIsTheOneOfTheReadme) {
  const ExperimentConfig config = load_config(COPPICE_SOURCE_DIR "/configs/fashion_mnist.yaml");
  EXPECT_EQ(config.name, "fashion-mnist-compress");
  EXPECT_EQ(config.model.name, "lenet5");
  EXPECT_EQ(config.data.partition.scheme, "dirichlet");
  EXPECT_EQ(config.train.rounds, 10);
  EXPECT_TRUE(config.compress.control);
  EXPECT_LE(config.compress.prune.target, 0.5);
}

}  // namespace
}  // namespace coppice
