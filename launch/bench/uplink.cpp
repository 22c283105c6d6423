#include <fmt/core.h>

#include <algorithm>   // for max
#include <cmath>       // for exp2
#include <functional>  // for function
#include <utility>     // for exchange

#include "algorithms/client_precision.h"
#include "client/local_clients.h"
#include "comm/codec.h"
#include "comm/codecs/rotated.h"
#include "coordinator/uplink.h"
#include "core/random.h"
#include "core/text.h"
#include "launch/bench/bench.h"
#include "launch/bench/rounds.h"
#include "launch/population.h"
#include "launch/tables.h"
#include "launch/world.h"

namespace coppice {
namespace {

constexpr int kHalvings = 14;

// What every client of a round would send, before it is encoded.
struct Updates {
  std::vector<std::vector<float>> values;
  std::vector<std::int64_t> weights;

  std::int64_t size() const { return std::ssize(values.front()); }
};

Updates updates_of(const ExperimentConfig& config, const World& world, const Checkpoint& model) {
  LocalClients clients(*world.dataset, world.partition, world.executor.name, config.seed);
  clients.set_graph(model.graph);
  Updates out{.values = {}, .weights = population_of(world).train_samples()};
  for (std::int64_t client = 0; client < std::ssize(out.weights); ++client) {
    ClientTask task;
    task.round = config.train.rounds + 1;
    task.track = "main";
    task.plan.optimizer = config.train.optimizer;
    task.plan.epochs = config.train.local_steps > 0 ? 0 : config.train.local_epochs;
    task.plan.steps = config.train.local_steps;
    task.plan.batch_size = config.train.batch_size;
    task.max_weight = out.weights[static_cast<std::size_t>(client)];
    task.update_grid = grid_for(6, task.max_weight);
    task.cohort = {client};
    bool is_taken = false;
    const RankReport report = clients.run(
        task, {model.parameters},
        [&]() -> std::optional<std::int64_t> {
          if (std::exchange(is_taken, true)) return std::nullopt;
          return client;
        },
        0);
    const ExactSum& sum = report.sums.at(sum_key(task)).at(kUpdateSum);
    out.values.emplace_back(static_cast<std::size_t>(sum.size()));
    sum.mean(out.values.back());
  }
  return out;
}

double square_of(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * double{value};
  return sum;
}

struct UplinkFigures {
  double bytes = 0.0;       // of a client, mean
  double error = 0.0;       // squared, of an update's square; mean over clients
  double mean_error = 0.0;  // the same of the weighted mean of all updates
};

using OptionsOfClient = std::function<CodecOptions(std::size_t)>;

class UplinkMeasurement {
 public:
  UplinkMeasurement(const Updates& updates, int draws) : updates_(updates), draws_(draws) {
    for (const std::int64_t weight : updates.weights) total_ += static_cast<double>(weight);
    mean_.resize(static_cast<std::size_t>(updates.size()));
    for (std::size_t client = 0; client < updates.values.size(); ++client)
      add_share(client, updates.values[client], mean_);
  }

  UplinkFigures of(std::string_view codec, const OptionsOfClient& options) const {
    UplinkFigures out;
    for (int draw = 0; draw < draws_; ++draw) add(codec, options, draw, out);
    out.bytes /= draws_;
    out.error /= draws_;
    out.mean_error /= draws_;
    return out;
  }

  double bytes_of(std::string_view codec, const OptionsOfClient& options) const {
    UplinkFigures out;
    add(codec, options, 0, out);
    return out.bytes;
  }

 private:
  void add(std::string_view name, const OptionsOfClient& options, int draw,
           UplinkFigures& out) const {
    const auto clients = static_cast<double>(updates_.values.size());
    std::vector<double> errors(mean_.size());
    std::vector<float> decoded(mean_.size());
    std::vector<std::uint8_t> scratch;
    for (std::size_t client = 0; client < updates_.values.size(); ++client) {
      const std::vector<float>& values = updates_.values[client];
      const RandomKey key{1, Purpose::kRounding, static_cast<std::int64_t>(client), draw};
      const auto codec = make_codec(name, options(client));
      out.bytes += static_cast<double>(codec->round_trip(values, key, decoded, scratch)) / clients;
      for (std::size_t i = 0; i < values.size(); ++i) decoded[i] -= values[i];
      out.error += square_of(decoded) / square_of(values) / clients;
      add_share(client, decoded, errors);
    }
    double square = 0.0;
    double mean_square = 0.0;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      square += errors[i] * errors[i];
      mean_square += mean_[i] * mean_[i];
    }
    out.mean_error += square / mean_square;
  }

  void add_share(std::size_t client, std::span<const float> values,
                 std::vector<double>& sum) const {
    const double share = static_cast<double>(updates_.weights[client]) / total_;
    for (std::size_t i = 0; i < values.size(); ++i) sum[i] += share * double{values[i]};
  }

  const Updates& updates_;
  int draws_;
  double total_ = 0.0;
  std::vector<double> mean_;
};

OptionsOfClient for_all(CodecOptions options) {
  return [options](std::size_t) { return options; };
}

// Each client's as a task of the coordinator has them.
OptionsOfClient as_planned(const CommConfig& comm, const Updates& updates) {
  ServerState state;
  InputSpec input;
  input.shape = {updates.size() - 1};
  state.graph = Graph::build(input, {{"linear", "all", {}, {.out = 1}}});
  ClientTask task;
  for (std::int64_t client = 0; client < std::ssize(updates.weights); ++client)
    task.cohort.push_back(client);
  plan_uplink(comm, updates.weights, state, task);
  return [options = task.client_options](std::size_t client) { return options.at(client); };
}

// The largest setting in (0, most] whose updates take at most `bytes` on average; bytes rise with
// it.
template <typename OptionsOf>
OptionsOfClient tuned(const UplinkMeasurement& measurement, std::string_view codec, double most,
                      double bytes, const OptionsOf& options_of) {
  double low = 0.0;
  double high = most;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2.0;
    (measurement.bytes_of(codec, options_of(middle)) <= bytes ? low : high) = middle;
  }
  return options_of(low);
}

struct UplinkCase {
  std::string label;
  std::string codec;
  OptionsOfClient options;
};

// Every way to spend at most the bytes that a rotated update of `bits` takes.
std::vector<UplinkCase> cases_of(const UplinkMeasurement& measurement, const Updates& updates,
                                 std::int64_t bits) {
  const OptionsOfClient fixed = for_all({.bits = bits});
  const double bytes = measurement.bytes_of("rotated", fixed);
  const auto limit = static_cast<std::int64_t>(bytes);
  std::vector<UplinkCase> out{{"rotated", "rotated", fixed}};
  if (rotated_frame_bytes(updates.size(), 1) <= limit) {
    CommConfig comm;
    comm.codec = "rotated";
    comm.budget = limit;
    out.push_back({"rotated, bits by block", "rotated", for_all({.max_bytes = limit})});
    out.push_back(
        {"rotated, bits by block, bytes by client", "rotated", as_planned(comm, updates)});
  }
  const auto levels = [](double exponent) {  // 2^exponent
    return for_all({.levels = static_cast<std::int64_t>(std::exp2(exponent))});
  };
  const auto adapted = [&](double exponent) {
    CommConfig comm;
    comm.codec = "dadaquant";
    comm.options.levels = static_cast<std::int64_t>(std::exp2(exponent));
    return as_planned(comm, updates);
  };
  const auto fraction = [](double value) { return for_all({.fraction = std::max(value, 1e-6)}); };
  CommConfig by_client;
  by_client.codec = "qsgd";
  by_client.budget = limit;
  out.push_back({"qsgd", "qsgd", tuned(measurement, "qsgd", 16.0, bytes, levels)});
  out.push_back({"qsgd, bytes by client", "qsgd", as_planned(by_client, updates)});
  out.push_back({"dadaquant", "dadaquant", tuned(measurement, "dadaquant", 16.0, bytes, adapted)});
  for (const char* codec : {"topk", "stc"})
    out.push_back({codec, codec, tuned(measurement, codec, 1.0, bytes, fraction)});
  return out;
}

}  // namespace

BenchReport bench_uplink(ExperimentConfig config, std::optional<Checkpoint> model,
                         const UplinkBenchSize& size) {
  config.compress = {};
  config.comm = {};
  if (!model) model = trained(config);
  const Updates updates = updates_of(config, make_world(config), *model);
  const UplinkMeasurement measurement(updates, size.draws);
  BenchReport report;
  report.subject = text("updates of ", updates.values.size(), " clients, ", updates.size(),
                        " values each, after ", config.train.rounds,
                        " rounds; squared errors over squares, mean of ", size.draws,
                        " keys; settings tuned to the bytes of rotated");
  Table table({"codec", "bytes", "of fp32", "error of an update", "error of the mean"}, "lrrrr");
  for (const std::int64_t bits : size.bits) {
    for (const UplinkCase& one : cases_of(measurement, updates, bits)) {
      const UplinkFigures figures = measurement.of(one.codec, one.options);
      const auto add = [&](const char* what, double value) {
        report.figures.push_back({text(bits, "-bit.", one.label, what), "", {value, value, value}});
      };
      add(".bytes", figures.bytes);
      add(".error", figures.error);
      add(".mean_error", figures.mean_error);
      table.add({text(bits, "-bit: ", one.label), fmt::format("{:.0f}", figures.bytes),
                 fmt::format("1/{:.1f}", 4.0 * static_cast<double>(updates.size()) / figures.bytes),
                 fmt::format("{:.4f}", figures.error), fmt::format("{:.4f}", figures.mean_error)});
    }
  }
  report.facts.set("clients", std::ssize(updates.values));
  report.facts.set("values", updates.size());
  report.facts.set("draws", std::int64_t{size.draws});
  report.table = table.text();
  return report;
}

}  // namespace coppice
