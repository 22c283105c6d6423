#include "kernels/ceilings.h"

#include <fmt/core.h>

#include <algorithm>  // for max

#include "core/text.h"
#include "core/thread_time.h"
#include "launch/bench/bench.h"
#include "launch/tables.h"
#include "models/layer_times.h"

namespace coppice {
namespace {

constexpr int kRuns = 41;
constexpr std::int64_t kCeilingRounds = 1 << 22;

double multiply_add_rate() {
  volatile float sink = 0.0F;
  const double begin = thread_seconds();
  const kernels::MultiplyAdds done = kernels::multiply_add(kCeilingRounds);
  const double seconds = thread_seconds() - begin;
  sink = sink + done.result;
  return static_cast<double>(done.operations) / seconds * 1e-9;
}

// One pass of a layer in the table.
struct Pass {
  Spread ms;
  double rate = 0.0;  // GFLOP/s at the median; 0: it only moves data
};

Pass pass_of(std::int64_t operations, std::vector<double> seconds) {
  for (double& s : seconds) s *= 1e3;
  const Spread ms = spread_of(std::move(seconds));
  return {ms, static_cast<double>(operations) / ms.median * 1e-6};
}

class LayerTable {
 public:
  LayerTable(double ceiling, double step_ms)
      : ceiling_(ceiling),
        step_ms_(step_ms),
        table_({"layer", "operation", "innermost", "pass", "ms", "share", "GFLOP/s", "of ceiling"},
               "llllrrrr") {}

  void add(const LayerTimes& layer, const std::string& pass, std::int64_t operations,
           const std::vector<double>& seconds, BenchReport& report) {
    if (seconds.empty()) return;
    const Pass timed = pass_of(operations, seconds);
    table_.add({layer.name, layer.operation, layer.layout, pass,
                fmt::format("{:.3f}", timed.ms.median),
                fmt::format("{:.1f}%", 100.0 * timed.ms.median / step_ms_),
                operations == 0 ? "" : fmt::format("{:.1f}", timed.rate),
                operations == 0 ? "" : fmt::format("{:.0f}%", 100.0 * timed.rate / ceiling_)});
    const std::string name = text(layer.name, '.', layer.operation, '.', pass);
    report.figures.push_back({name, "ms", timed.ms});
  }
  std::string text_of() const { return table_.text(); }

 private:
  double ceiling_;
  double step_ms_;
  Table table_;
};

}  // namespace

BenchReport bench_kernels(const Graph& graph, const TrainConfig& config) {
  std::vector<double> rates = {multiply_add_rate()};
  const StepTimes step = time_step(graph, config.batch_size, kRuns);
  const std::vector<LayerTimes>& layers = step.layers;
  for (int i = 0; i < 4; ++i) rates.push_back(multiply_add_rate());
  const Spread ceiling = spread_of(rates);

  double step_ms = 0.0;
  for (const LayerTimes& layer : layers) {
    step_ms += pass_of(0, layer.forward_seconds).ms.median;
    if (!layer.backward_seconds.empty()) step_ms += pass_of(0, layer.backward_seconds).ms.median;
  }
  BenchReport report;
  report.subject = text("forward and backward of ", step.samples, " of a batch's ",
                        config.batch_size, " samples, ", graph.parameter_count(),
                        " parameters, one thread, ", kRuns, " runs; the ceiling is ",
                        fmt::format("{:.1f}", ceiling.median), " GFLOP/s of multiply-adds");
  report.facts.set("parameters", graph.parameter_count());
  report.facts.set("batch_size", config.batch_size);
  report.facts.set("samples", step.samples);
  report.figures.push_back({"ceiling", "GFLOP/s", ceiling});
  LayerTable table(ceiling.median, step_ms);
  for (const LayerTimes& layer : layers)
    table.add(layer, "forward", layer.forward_operations, layer.forward_seconds, report);
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
    table.add(*layer, "backward", layer->backward_operations, layer->backward_seconds, report);
  report.table = table.text_of();
  return report;
}

}  // namespace coppice
