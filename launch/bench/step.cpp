#include "core/parameter_arena.h"
#include "core/random.h"
#include "core/text.h"
#include "core/thread_time.h"
#include "launch/bench/bench.h"
#include "models/executor.h"

namespace coppice {
namespace {

constexpr int kRuns = 7;
constexpr double kLeastSeconds = 0.3;  // of a run
constexpr std::int64_t kSamples = 512;

double seconds_of(Executor& executor, const TrainRequest& request) {
  const double begin = thread_seconds();
  executor.train(request);
  return thread_seconds() - begin;
}

// Steps on generated samples: what a step costs does not depend on what is in them.
class StepTimer {
 public:
  StepTimer(const Graph& graph, const TrainConfig& config)
      : weights_(initial_parameters(graph, 1)), memory_(config.memory) {
    plan_.optimizer = config.optimizer;
    plan_.batch_size = config.batch_size;
    plan_.epochs = 0;
    const auto size = static_cast<std::size_t>(element_count(graph.input().shape));
    RandomStream random({.seed = 1, .purpose = Purpose::kGenerated});
    samples_.resize(kSamples * size);
    for (float& x : samples_) x = random.next_uniform();
    const auto classes = static_cast<std::uint64_t>(graph.output().shape.back());
    labels_.resize(static_cast<std::size_t>(kSamples * graph.input().labels_per_sample));
    for (std::int32_t& label : labels_)
      label = static_cast<std::int32_t>(random.next_below(classes));
    source_.size = kSamples;
    source_.samples = [this, size](std::span<const std::int64_t> indices, std::span<float> out) {
      copy_rows(samples_, size, indices, out);
    };
    source_.labels = [this](std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
      copy_rows(labels_, labels_.size() / kSamples, indices, out);
    };
  }

  // Steps a run must have to last long enough.
  std::int64_t calibrate(Executor& executor) {
    for (std::int64_t steps = 1;; steps *= 2) {
      if (seconds(executor, steps) > kLeastSeconds / 2) return 2 * steps;
    }
  }
  double seconds(Executor& executor, std::int64_t steps) {
    plan_.steps = steps;
    plan_.memory = memory_;
    if (executor.name() == "libtorch") {  // without the levers that are not its
      plan_.memory.relu_bits = false;
      plan_.memory.fused_pools = false;
      plan_.memory.saved_bits = 32;
    }
    return seconds_of(executor, {.plan = &plan_, .source = &source_, .global = weights_.values()});
  }

 private:
  template <typename Value>
  static void copy_rows(const std::vector<Value>& from, std::size_t size,
                        std::span<const std::int64_t> indices, std::span<Value> out) {
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const auto row = std::span(from).subspan(static_cast<std::size_t>(indices[i]) * size, size);
      std::ranges::copy(row, out.begin() + static_cast<std::ptrdiff_t>(i * size));
    }
  }

  LocalPlan plan_;
  ParameterArena weights_;
  MemorySpec memory_;
  std::vector<float> samples_;
  std::vector<std::int32_t> labels_;
  SampleSource source_;
};

// Of a client of a batch's samples.
Json memory_json(const Executor& executor, const TrainConfig& config) {
  LocalPlan plan;
  plan.optimizer = config.optimizer;
  plan.batch_size = config.batch_size;
  plan.memory = config.memory;
  const std::optional<MemoryUse> use =
      executor.memory({.plan = &plan, .samples = config.batch_size});
  if (!use) return {};
  Json out;
  out.set("weights", use->weights);
  out.set("gradient", use->gradient);
  out.set("optimizer", use->optimizer);
  out.set("global_model", use->global_model);
  out.set("activations", use->activations);
  out.set("work_space", use->work_space);
  out.set("samples", use->samples);
  out.set("total", use->total());
  return out;
}

}  // namespace

BenchReport bench_step(const Graph& graph, const TrainConfig& config) {
  StepTimer timer(graph, config);
  const auto libtorch = make_executor("libtorch", graph);
  const auto resident = make_executor("resident", graph);
  const std::int64_t libtorch_steps = timer.calibrate(*libtorch);
  const std::int64_t resident_steps = timer.calibrate(*resident);
  std::vector<double> libtorch_ms;
  std::vector<double> resident_ms;
  std::vector<double> ratios;
  for (int run = 0; run < kRuns; ++run) {
    const auto ms = [&](Executor& executor, std::int64_t steps) {
      return 1e3 * timer.seconds(executor, steps) / static_cast<double>(steps);
    };
    libtorch_ms.push_back(ms(*libtorch, libtorch_steps));
    resident_ms.push_back(ms(*resident, resident_steps));
    ratios.push_back(libtorch_ms.back() / resident_ms.back());
  }
  const double macs = static_cast<double>(graph.total_cost().macs);
  const auto samples = static_cast<double>(config.batch_size);
  std::vector<double> gflops;
  gflops.reserve(resident_ms.size());
  for (const double ms : resident_ms) gflops.push_back(6.0 * macs * samples / ms / 1e6);
  BenchReport report;
  report.subject = text(
      "one training step of ", graph.parameter_count(), " parameters, batch ", config.batch_size,
      ", one thread and the time it had a core; executors in turn, ", kRuns, " pairs");
  report.facts.set("parameters", graph.parameter_count());
  report.facts.set("macs_a_sample", graph.total_cost().macs);
  report.facts.set("batch_size", config.batch_size);
  report.facts.set("train_memory_bytes", memory_json(*resident, config));
  report.figures = {{"libtorch", "ms", spread_of(libtorch_ms)},
                    {"resident", "ms", spread_of(resident_ms)},
                    {"libtorch_over_resident", "", spread_of(ratios)},
                    {"resident_rate", "GFLOP/s", spread_of(gflops)}};
  return report;
}

}  // namespace coppice
