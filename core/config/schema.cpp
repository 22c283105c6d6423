#include "core/config/schema.h"

#include <algorithm>  // for any_of, find
#include <array>      // for array
#include <utility>    // for move
#include <vector>     // for vector

#include "core/config/layers.h"
#include "core/config/values.h"
#include "core/text.h"

namespace coppice {
namespace {

template <typename Type, typename Field>
ConfigKey make_key(std::string path, Type type, std::string unit, Field field,
                   std::string sentence) {
  ConfigKey key;
  key.path = std::move(path);
  key.expected = type.describe();
  key.unit = std::move(unit);
  key.sentence = std::move(sentence);
  key.read = [type, field](const YamlNode& node, ExperimentConfig& config) {
    field(config) = type.read(node);
  };
  key.write = [type, field](const ExperimentConfig& config) { return type.write(field(config)); };
  return key;
}

using Count = WholeNumber<std::int64_t>;
using Word = Choice<std::string>;

constexpr std::int64_t kMany = 1'000'000;
constexpr RealNumber kPositive{.above = 0};
constexpr RealNumber kNotNegative{.at_least = 0};
constexpr RealNumber kShareBelowOne{.at_least = 0, .below = 1};
constexpr RealNumber kShare{.at_least = 0, .at_most = 1};
constexpr RealNumber kPositiveShare{.above = 0, .at_most = 1};
constexpr RealNumber kProperShare{.above = 0, .below = 1};
constexpr RealNumber kRetention{.above = 0, .at_most = 10};

// The field's name is the key's path, unless the key goes by another one (COPPICE_KEY_AS).
#define COPPICE_KEY_AS(path, field, type, unit, sentence) \
  make_key(                                               \
      path, type, unit, [](auto& config) -> auto& { return config.field; }, sentence)
#define COPPICE_KEY(field, type, unit, sentence) \
  COPPICE_KEY_AS(#field, field, (type), unit, sentence)

// One entry a key: a table, however long.
std::vector<ConfigKey> make_keys() {  // NOLINT(readability-function-size)
  const Choice<OptimizerKind> optimizers{
      {{"sgd", OptimizerKind::kSgd}, {"adamw", OptimizerKind::kAdamW}}};
  const Choice<ScheduleKind> schedules{{{"constant", ScheduleKind::kConstant},
                                        {"cosine", ScheduleKind::kCosine},
                                        {"step", ScheduleKind::kStep},
                                        {"exponential", ScheduleKind::kExponential}}};
  const Word executors{{{"auto", "auto"}, {"resident", "resident"}, {"libtorch", "libtorch"}}};
  const Choice<std::int64_t> bits{{{"32", 32}, {"8", 8}, {"6", 6}, {"4", 4}, {"3", 3}, {"2", 2}}};
  const Choice<std::int64_t> saved_bits{{{"32", 32}, {"8", 8}}};
  const Word text_splits{{{"none", "none"}, {"speaker", "speaker"}, {"book", "book"}}};
  const WholeNumber<std::uint64_t> seeds;
  // clang-format off
  return {
      COPPICE_KEY(name, Label{}, "", "Names the run and its folder."),
      COPPICE_KEY(seed, seeds, "", "Seed of everything random: partition, initial weights, batches, dropout, rounding."),

      COPPICE_KEY(model.name, Text{100}, "", "A network of `coppice list models`; not together with model.layers."),
      COPPICE_KEY(model.layers, LayerList{}, "", "Your own network instead of a named one: layers in order, each reading the one before unless `inputs` names others."),
      COPPICE_KEY(model.init, Text{}, "", "A safetensors or fp32 ONNX file with the initial weights; empty: drawn from the seed."),
      COPPICE_KEY(model.hidden, (IntegerList{1, 65536}), "units", "Hidden layers of mlp; [] is logistic regression."),
      COPPICE_KEY(model.width, (Count{0, 65536}), "channels", "First stage of resnet20 (16), or model width of char_transformer (64); 0: the model's own, in parentheses."),
      COPPICE_KEY(model.depth, (Count{0, 1000}), "blocks", "Blocks of char_transformer (2); 0: the model's own."),
      COPPICE_KEY(model.heads, (Count{0, 1024}), "heads", "Attention heads of char_transformer (4); 0: the model's own."),
      COPPICE_KEY(model.dropout, kShareBelowOne, "", "Probability of zero before the last layer of mlp and inside the blocks of char_transformer."),

      COPPICE_KEY(data.name, Text{100}, "", "A data set of `coppice list datasets`."),
      COPPICE_KEY(data.root, Text{}, "", "Folder or file of the data; empty: the data set's usual places."),
      COPPICE_KEY(data.partition.scheme, Text{100}, "", "Who owns which sample: iid, dirichlet, shards, by_key (the data's own clients) or devices (each has data of its own, see docs/devices.md)."),
      COPPICE_KEY(data.partition.clients, (Count{0, kMany}), "clients", "Clients; with by_key the first so many, and 0 takes all of them."),
      COPPICE_KEY(data.partition.alpha, (RealNumber{.above = 0, .at_most = 10'000}), "", "dirichlet: concentration; the smaller, the more skewed each client's classes."),
      COPPICE_KEY(data.partition.classes_per_client, (Count{1, 65536}), "classes", "shards: classes that each client owns."),
      COPPICE_KEY(data.partition.min_samples, (Count{0, kMany}), "samples", "dirichlet: drawn again until every client owns at least this many."),
      COPPICE_KEY(data.validation_fraction, kShareBelowOne, "", "Part of each client's samples held out inside the client, for decisions; the test set never decides."),
      COPPICE_KEY(data.test_fraction, kProperShare, "", "Test part of data sets without an official test split."),
      COPPICE_KEY(data.text_split, text_splits, "", "text: what makes a natural client."),
      COPPICE_KEY(data.context, (Count{1, 65536}), "characters", "text: length of a sample."),
      COPPICE_KEY(data.label_column, Text{256}, "", "csv: column of the label."),
      COPPICE_KEY(data.client_column, Text{256}, "", "csv: column of the client, if there is one."),

      COPPICE_KEY(train.rounds, (Count{1, kMany}), "rounds", "Rounds of the whole run; compression happens inside them."),
      COPPICE_KEY(train.clients_per_round, (Count{0, kMany}), "clients", "Clients drawn for each round; 0: all."),
      COPPICE_KEY(train.local_epochs, (Count{1, 10'000}), "epochs", "Passes of a client over its data in a round."),
      COPPICE_KEY(train.local_steps, (Count{0, kMany}), "steps", "Steps of a client in a round, instead of epochs; 0: epochs."),
      COPPICE_KEY(train.batch_size, (Count{1, 65536}), "samples", "Samples of one step."),
      COPPICE_KEY(train.executor, executors, "", "What runs the network; auto takes the fastest that can."),
      COPPICE_KEY_AS("train.optimizer.name", train.optimizer.kind, optimizers, "", "The clients' optimizer."),
      COPPICE_KEY(train.optimizer.lr, (RealNumber{.above = 0, .at_most = 1000}), "", "Learning rate, before the schedule's factor."),
      COPPICE_KEY(train.optimizer.momentum, kShareBelowOne, "", "sgd: momentum, in PyTorch's form."),
      COPPICE_KEY(train.optimizer.weight_decay, kShare, "", "sgd: added to the gradient; adamw: decoupled."),
      COPPICE_KEY(train.optimizer.beta1, kShareBelowOne, "", "adamw: decay of the first moment."),
      COPPICE_KEY(train.optimizer.beta2, kShareBelowOne, "", "adamw: decay of the second moment."),
      COPPICE_KEY(train.optimizer.epsilon, kPositiveShare, "", "adamw: added to the denominator."),
      COPPICE_KEY_AS("train.schedule.name", train.schedule.kind, schedules, "", "How the learning rate changes across rounds."),
      COPPICE_KEY(train.schedule.warmup_rounds, (Count{0, kMany}), "rounds", "Rounds in which the rate rises linearly first."),
      COPPICE_KEY(train.schedule.min_factor, kShare, "", "cosine: where the factor ends."),
      COPPICE_KEY(train.schedule.step_rounds, (Count{1, kMany}), "rounds", "step: rounds between two drops."),
      COPPICE_KEY(train.schedule.gamma, kPositiveShare, "", "step: factor of a drop; exponential: factor of a round."),
      COPPICE_KEY(train.clip_norm, kNotNegative, "", "Largest L2 norm of a step's gradient; 0: no limit."),
      COPPICE_KEY(train.max_update_norm, kNotNegative, "", "A client whose update is longer is refused; 0: no limit."),
      COPPICE_KEY(train.norm_bound_factor, kNotNegative, "", "Refuses updates longer than this multiple of the last round's median; 0: no limit."),
      COPPICE_KEY(train.memory.micro_batch, (Count{0, 65536}), "samples", "Samples of a batch that go through the network at once, their gradients summed; 0: the whole batch."),
      COPPICE_KEY(train.memory.relu_bits, TrueOrFalse{}, "", "Keeps bits for the backward pass of ReLUs and max pools in place of activations that nothing else needs; the result is the same."),
      COPPICE_KEY(train.memory.fused_pools, TrueOrFalse{}, "", "Runs a convolution and the max pool behind it a register of samples at a time, so that what is between them never stands for a whole block."),
      COPPICE_KEY(train.memory.saved_bits, saved_bits, "bits", "Of an activation that is kept for the gradient of weights; 8: codes, that nothing else sees."),
      COPPICE_KEY(train.memory.freeze_first, (Count{0, 1000}), "layers", "Layers with weights, from the input on, that are not trained: they stay as drawn or as model.init has them."),

      COPPICE_KEY(strategy.name, Text{100}, "", "A strategy of `coppice list strategies`."),
      COPPICE_KEY(strategy.mu, kNotNegative, "", "fedprox: weight of the pull towards the global model."),
      COPPICE_KEY(strategy.server_lr, kPositive, "", "Factor of the mean update."),
      COPPICE_KEY(strategy.server_momentum, kShareBelowOne, "", "Momentum of the server (FedAvgM); 0: plain averaging."),

      COPPICE_KEY(compress.control, TrueOrFalse{}, "", "Also trains the dense model, same seed and rounds, to compare with."),
      COPPICE_KEY(compress.dense_reference, Text{}, "", "A finished run folder to compare with, instead of a control: its dense model, or its own control."),
      COPPICE_KEY(compress.constraints.max_bytes, OrNull<Bytes>{}, "", "Largest size of the finished model's file."),
      COPPICE_KEY_AS("compress.constraints.max_latency", compress.constraints.max_latency_us, OrNull<Duration>{}, "", "Largest median time of one sample."),
      COPPICE_KEY_AS("compress.constraints.max_latency_p99", compress.constraints.max_latency_p99_us, OrNull<Duration>{}, "", "Largest 99th percentile of the time of one sample."),
      COPPICE_KEY(compress.constraints.max_peak_memory, OrNull<Bytes>{}, "", "Largest memory that inference may take."),
      COPPICE_KEY(compress.constraints.min_retention, OrNull<RealNumber>{kRetention}, "", "Smallest validation accuracy, as a fraction of the dense model's."),
      COPPICE_KEY(compress.constraints.device, Text{256}, "", "Where the constraints are measured."),
      COPPICE_KEY(compress.prune.pruner, Text{100}, "", "What scores channels: a pruner of `coppice list pruners`, or none."),
      COPPICE_KEY(compress.prune.target, kPositiveShare, "", "Parameters kept, as a fraction of the dense model's."),
      COPPICE_KEY(compress.prune.start, kShareBelowOne, "", "Fraction of the rounds after which shrinking begins."),
      COPPICE_KEY(compress.prune.end, kPositiveShare, "", "Fraction of the rounds after which it is done; the rest recovers."),
      COPPICE_KEY(compress.prune.steps, (Count{1, 1000}), "", "Shrinks on the way; fewer where the rounds do not suffice."),
      COPPICE_KEY(compress.prune.batches, (Count{1, 4096}), "", "Pairs of half-batches whose gradients taylor and fisher look at, of each client."),
      COPPICE_KEY(compress.prune.half_batch, (Count{1, 4096}), "samples", "Samples of a half-batch; fewer where a client has fewer."),
      COPPICE_KEY(compress.prune.multiple, (Count{1, 1024}), "channels", "Widths are rounded up to a multiple of so many channels, where a layer has as many; 8 suits every instruction set."),

      COPPICE_KEY(compress.allocate.allocator, Text{100}, "", "What gives each layer its density and bits, so that the file fits compress.constraints.max_bytes and a sample takes no longer than max_latency (for which it needs compress.latency_table): one of `coppice list allocators`, or none."),
      COPPICE_KEY(compress.allocate.densities, (RealList{kPositiveShare}), "", "Shares of a layer's weights that may be kept."),
      COPPICE_KEY(compress.allocate.block_densities, (RealList{kProperShare}), "", "Shares of a layer's 4x4 blocks that may be kept instead: blocks buy time, single weights bytes; []: no blocks."),
      COPPICE_KEY(compress.allocate.channel_shares, (RealList{kProperShare}), "", "Shares of a layer's output channels that may be kept, with each of the densities: channels go for good, with the layers that read them; for layers that share their channels with no other; []: no widths."),
      COPPICE_KEY(compress.allocate.bits, (IntegerList{2, 8}), "bits", "Bits that a layer's codes may have, of 2, 3, 4, 6 and 8; compress.quantize.bits does not matter then."),
      COPPICE_KEY(compress.allocate.start, kShareBelowOne, "", "Fraction of the rounds after which the first choice is made."),
      COPPICE_KEY(compress.allocate.end, kPositiveShare, "", "Fraction of the rounds after which the last one is; the rest recovers."),
      COPPICE_KEY(compress.allocate.steps, (Count{1, 1000}), "", "Choices on the way, each for a smaller file; fewer where the rounds do not suffice."),
      COPPICE_KEY(compress.allocate.batches, (Count{1, 10'000}), "", "Pairs of half-batches whose gradients a client measures for its table of sensitivities."),
      COPPICE_KEY(compress.allocate.half_batch, (Count{1, 65536}), "samples", "Samples of a half-batch."),
      COPPICE_KEY(compress.allocate.class_balance, TrueOrFalse{}, "", "Draws half-batches as if every client had the class mix of all, as far as its own samples go."),
      COPPICE_KEY(compress.allocate.regrow.share, OrNull<RealNumber>{kPositiveShare}, "", "feddst, fedrts: of a layer's kept weights, those that make room for others after the second choice; later choices move fewer, on half a cosine. null: 0.5 for feddst, 0.2 for fedrts, as their authors have it."),
      COPPICE_KEY(compress.allocate.regrow.ballots, kShare, "", "fedrts: what the clients' ballots count in an outcome; the mean model has the rest."),
      COPPICE_KEY(compress.allocate.regrow.evidence, (RealNumber{.above = 0, .at_most = 1000}), "", "fedrts: what an outcome adds to a weight's Beta(1, 1)."),

      COPPICE_KEY(compress.gate.recovery_rounds, (Count{0, kMany}), "rounds", "Rounds between a choice of compress.allocate and its judgement on the clients' held-out samples; one that leaves less than compress.constraints.min_retention is taken back; 0: none is."),
      COPPICE_KEY(compress.gate.confidence, (RealNumber{.at_least = 0.5, .below = 1}), "", "Of the lower bound on the retention that is judged, and of what the certificate says."),

      COPPICE_KEY(compress.quantize.bits, bits, "bits", "Bits of a stored weight; 32: no quantization. Activations have 8 bits."),
      COPPICE_KEY(compress.quantize.reduce_range, TrueOrFalse{}, "", "Keeps 8-bit weight codes within [-63, 63]: onnxruntime's signed kernels then cannot saturate without VNNI."),
      COPPICE_KEY(compress.quantize.start, kShareBelowOne, "", "Fraction of the rounds after which training is quantization-aware; never before the last shrink."),
      COPPICE_KEY(compress.quantize.average, kShareBelowOne, "", "Fraction of the rounds, the last ones, whose models are averaged into the finished one, as far as they train on grids: what codes that go to and fro between two values lose is won back."),
      COPPICE_KEY(compress.quantize.calibration_samples, (Count{1, kMany}), "samples", "Training samples whose activations each client counts to set the ranges."),
      COPPICE_KEY(compress.distill.teacher, Text{}, "", "Whose outputs the model also learns from: control, warmup (the dense model before the first shrink), the file of a checkpoint, or none."),
      COPPICE_KEY(compress.distill.temperature, (RealNumber{.above = 0, .at_most = 100}), "", "Softens teacher and student outputs before they are compared."),
      COPPICE_KEY(compress.distill.weight, kShare, "", "Weight of the teacher's outputs in the loss; the labels have the rest."),
      COPPICE_KEY(compress.distill.feature, Text{100}, "", "A layer of teacher and student whose outputs are matched too, whatever their widths; empty: none."),
      COPPICE_KEY(compress.distill.feature_weight, kNotNegative, "", "Weight of that match in the loss."),
      COPPICE_KEY(compress.distill.start, kShareBelowOne, "", "Fraction of the rounds after which the teacher is listened to."),
      COPPICE_KEY_AS("compress.distill.student", compress.distill.student.name, Text{100}, "", "A separate small network that is trained instead of shrinking the model; empty: none."),
      COPPICE_KEY_AS("compress.distill.student_layers", compress.distill.student.layers, LayerList{}, "", "Your own student, as in model.layers."),
      COPPICE_KEY_AS("compress.distill.student_hidden", compress.distill.student.hidden, (IntegerList{1, 65536}), "units", "Hidden layers of a student mlp."),
      COPPICE_KEY_AS("compress.distill.student_width", compress.distill.student.width, (Count{0, 65536}), "channels", "Width of the student, as in model.width."),
      COPPICE_KEY_AS("compress.distill.student_depth", compress.distill.student.depth, (Count{0, 1000}), "blocks", "Depth of the student, as in model.depth."),
      COPPICE_KEY(compress.latency_table, Text{}, "", "A file of `coppice bench lut` for the device that the model is for: decides how each layer's weights are stored, and what an allocator takes them to cost in time; empty: a rule decides."),

      COPPICE_KEY(comm.codec, Text{100}, "", "How updates travel: a codec of `coppice list codecs`."),
      COPPICE_KEY_AS("comm.bits", comm.options.bits, (Count{1, 8}), "bits", "rotated: bits of a value."),
      COPPICE_KEY_AS("comm.fraction", comm.options.fraction, kPositiveShare, "", "topk, stc: part of the values that is sent."),
      COPPICE_KEY_AS("comm.levels", comm.options.levels, (Count{1, 65536}), "levels", "qsgd: levels from zero to the length of the update; dadaquant: of its first rounds."),
      COPPICE_KEY(comm.budget, OrNull<Bytes>{}, "", "rotated, qsgd: bytes of an update, on average over a round's clients and never more, in place of comm.bits and comm.levels; clients with more samples have more of them."),
      COPPICE_KEY(comm.error_feedback, TrueOrFalse{}, "", "topk, stc: a client adds what its last update left out to the next."),
      COPPICE_KEY(comm.residual_decay, kShare, "", "Factor of what a client has left out, for each round that it was not asked."),
      COPPICE_KEY(comm.downlink.codec, Text{100}, "", "How the model travels to clients: none sends it whole, a codec of `coppice list codecs` what it has changed by."),
      COPPICE_KEY_AS("comm.downlink.bits", comm.downlink.options.bits, (Count{1, 8}), "bits", "As comm.bits, downwards."),
      COPPICE_KEY_AS("comm.downlink.fraction", comm.downlink.options.fraction, kPositiveShare, "", "As comm.fraction, downwards."),
      COPPICE_KEY_AS("comm.downlink.levels", comm.downlink.options.levels, (Count{1, 65536}), "levels", "As comm.levels, downwards."),

      COPPICE_KEY(eval.every, (Count{1, kMany}), "rounds", "Rounds between two evaluations; the last round always is one."),
      COPPICE_KEY(eval.batch_size, (Count{1, 65536}), "samples", "Samples of one step of an evaluation."),

      COPPICE_KEY(network.quorum, kPositiveShare, "", "coppice serve: share of a round's devices whose answers are enough once network.deadline has passed."),
      COPPICE_KEY_AS("network.deadline", network.deadline_us, OrNull<Duration>{}, "", "coppice serve: for how long a round waits for all of its devices; null: until all have answered, so that the model depends on none of their speeds."),
      COPPICE_KEY(network.late, (Count{0, kMany}), "trainings", "coppice serve: how many trainings later the update of a device may come that missed network.deadline: it joins the one at hand when it comes, if that has the client in its cohort, as far as both masks keep a weight, and the device is not asked another until then; 0: late updates are refused."),
      COPPICE_KEY_AS("network.heartbeat", network.heartbeat_us, Duration{}, "", "Every connection carries at least one message in this time."),
      COPPICE_KEY_AS("network.silence", network.silence_us, Duration{}, "", "A connection that has been silent for so long is lost."),
      COPPICE_KEY_AS("network.buffer", network.buffer_bytes, Bytes{}, "", "Most that the coordinator holds of answers that are on their way."),
  };
  // clang-format on
}
#undef COPPICE_KEY
#undef COPPICE_KEY_AS

const ConfigKey* find_key(std::string_view path) {
  for (const ConfigKey& key : config_keys()) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

bool is_section(std::string_view path) {
  const std::string inside = path.empty() ? "" : std::string(path) + '.';
  return std::ranges::any_of(config_keys(),
                             [&](const ConfigKey& key) { return key.path.starts_with(inside); });
}

std::string_view last_word(std::string_view path) { return path.substr(path.rfind('.') + 1); }

// The known path nearest to `path`: among keys with the same last word if there are any (the right
// key in the wrong section), else among all keys and sections.
std::string nearest_path(std::string_view path) {
  std::vector<std::string_view> all, same_word;
  for (const ConfigKey& key : config_keys()) {
    const std::string_view known = key.path;
    all.push_back(known);
    if (last_word(known) == last_word(path)) same_word.push_back(known);
    for (std::size_t dot = known.find('.'); dot != std::string_view::npos;
         dot = known.find('.', dot + 1)) {
      all.push_back(known.substr(0, dot));
    }
  }
  return std::string(nearest_name(path.substr(0, 128), same_word.empty() ? all : same_word));
}

std::string unknown_key(const std::string& path) {
  return text("unknown key '", path.substr(0, 128), "'; did you mean '", nearest_path(path), "'?");
}

// Walks one document over the table.
class Application {
 public:
  Application(const std::function<std::string(YamlMark)>& place, ExperimentConfig& config,
              KeyPlaces& places)
      : place_(place), config_(config), places_(places) {}

  void apply(const YamlNode& node, const std::string& path) {
    if (const ConfigKey* key = find_key(path)) {
      read(*key, node);
    } else if (node.kind == YamlKind::kMap) {
      for (const YamlNode& child : node.children) apply(child, path_of(child, path));
    } else if (node.kind !=
               YamlKind::kNull) {  // nothing: a section whose keys are all commented out
      throw YamlError(node.mark, text(path.empty() ? "" : path + ": ",
                                      "expected a map of keys, got ", shown(node)));
    }
  }

 private:
  static std::string path_of(const YamlNode& child, const std::string& section) {
    std::string path = section.empty() ? child.key : section + '.' + child.key;
    if (find_key(path) == nullptr && !is_section(path))
      throw YamlError(child.key_mark, unknown_key(path));
    if (child.key.empty() || child.key.find('.') != std::string::npos) {
      throw YamlError(
          child.key_mark,
          text("'", path, "': in a file a section's keys stand below it, without dots"));
    }
    return path;
  }

  void read(const ConfigKey& key, const YamlNode& node) {
    try {
      key.read(node, config_);
    } catch (const YamlError& error) {
      throw YamlError(error.mark, key.path + ": " + error.what());
    }
    places_[key.path] = place_(node.mark);
  }

  const std::function<std::string(YamlMark)>& place_;
  ExperimentConfig& config_;
  KeyPlaces& places_;
};

}  // namespace

std::span<const ConfigKey> config_keys() {
  static const std::vector<ConfigKey> kKeys = make_keys();
  return kKeys;
}

std::string_view section_sentence(std::string_view section) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kSentences{{
      {"model", "The network: one of the zoo by name, or your own as a list of layers."},
      {"data", "What is learned from, and how it is spread over the clients."},
      {"train", "Rounds, and what a client does in one."},
      {"strategy", "How the clients' updates become the next global model."},
      {"compress", "How the model becomes small, and what it must meet."},
      {"comm", "How updates travel."},
      {"eval", "When the global model is measured on the test set."},
      {"network", "Clients that are devices of their own, over TLS."},
  }};
  for (const auto& [name, sentence] : kSentences) {
    if (name == section) return sentence;
  }
  return {};
}

void apply_tree(const YamlNode& root, const std::string& prefix,
                const std::function<std::string(YamlMark)>& place, ExperimentConfig& config,
                KeyPlaces& places) {
  try {
    if (!prefix.empty() && find_key(prefix) == nullptr && !is_section(prefix)) {
      throw YamlError(root.mark, unknown_key(prefix));
    }
    Application(place, config, places).apply(root, prefix);
  } catch (const YamlError& error) {
    throw ConfigError(place(error.mark) + ": " + error.what());
  }
}

}  // namespace coppice
