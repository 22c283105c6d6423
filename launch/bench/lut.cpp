#include <fmt/core.h>

#include <algorithm>  // for max
#include <cmath>      // for abs
#include <utility>    // for move

#include "algorithms/quantize.h"
#include "core/checkpoint.h"
#include "core/coupling.h"
#include "core/parameter_arena.h"
#include "core/random.h"
#include "core/text.h"
#include "deploy/latency_measurement.h"
#include "deploy/latency_probe.h"
#include "deploy/layout_choice.h"
#include "deploy/lower.h"
#include "deploy/runtime/engine.h"
#include "launch/bench/bench.h"
#include "launch/machine.h"
#include "launch/tables.h"
#include "launch/version.h"

namespace coppice {
namespace {

constexpr int kWholePasses = 6;  // over whole networks, after each over the layers

// `graph` with initial weights, fp32 or, with `plan`, as integers.
Checkpoint checkpoint_of(const Graph& graph) {
  Checkpoint checkpoint;
  checkpoint.graph = graph;
  const ParameterArena arena = initial_parameters(graph, 1);
  checkpoint.parameters.assign(arena.values().begin(), arena.values().end());
  return checkpoint;
}

// Grids for all that is quantized: times do not depend on what they are. bits_of() gives each
// weight's.
template <typename BitsOf>
Checkpoint quantized(Checkpoint checkpoint, const BitsOf& bits_of) {
  const Graph& graph = checkpoint.graph;
  for (const std::string& name : quantized_parameters(graph)) {
    const auto index = static_cast<std::size_t>(graph.parameter_named(name));
    const ParameterSpec& parameter = graph.parameters()[index];
    const auto values = std::span<const float>(checkpoint.parameters)
                            .subspan(static_cast<std::size_t>(parameter.offset),
                                     static_cast<std::size_t>(parameter.size()));
    checkpoint.plan.weights.push_back(weight_quant(parameter, values, bits_of()));
  }
  for (const std::string& node : quantized_nodes(graph))
    checkpoint.plan.activations.push_back({.node = node, .scale = 0.05F, .zero_point = 100});
  return checkpoint;
}

Graph random_width(const Graph& graph, RandomStream& random) {
  const Coupling coupling = couple(graph);
  std::vector<std::uint8_t> keep(static_cast<std::size_t>(coupling.unit_count), 1);
  for (const int g : coupling.prunable_groups()) {
    const std::vector<int>& units = coupling.groups[static_cast<std::size_t>(g)].units;
    const auto kept = 1 + random.next_below(units.size());
    for (std::size_t i = kept; i < units.size(); ++i) keep[static_cast<std::size_t>(units[i])] = 0;
  }
  return shrink(graph, coupling, keep).graph;
}

// Every other product, or so, loses a random share of its blocks.
runtime::Program with_empty_blocks(runtime::Program program, RandomStream& random) {
  program = runtime::in_rows(std::move(program));
  const runtime::Inference inference = infer(program);
  for (runtime::Node& node : program.nodes) {
    if (inference.counts(node).row == 0) continue;
    const runtime::ProductShape shape = product_shape(node, inference);
    const bool is_sparse = random.next_below(2) == 0;
    const double density = random.next_uniform_double();
    if (may_be_blocks(shape) && is_sparse) empty_blocks(node.weights, shape, density, random);
  }
  return program;
}

runtime::Program random_network(const Graph& graph, std::int64_t index) {
  RandomStream random({.purpose = Purpose::kGenerated, .task = index});
  Checkpoint checkpoint = checkpoint_of(random_width(graph, random));
  checkpoint = quantized(std::move(checkpoint), [&] { return random.next_below(2) == 0 ? 8 : 4; });
  runtime::Program program = with_empty_blocks(lower(checkpoint), random);
  return with_chosen_layouts(std::move(program), nullptr);
}

std::string microseconds_text(double microseconds) { return fmt::format("{:.2f}", microseconds); }

// A row an entry: what the full width takes, dense and in blocks.
std::string layers_text(const LatencyTable& table) {
  Table rows({"layer", "as", "channels", "bits", "us", "blocks 1/2", "1/4", "1/8"}, "llrrrrrr");
  for (const LatencyEntry& entry : table.entries) {
    for (const LatencyGrid& grid : entry.grids) {
      if (grid.layout == runtime::Layout::kBlocks) continue;
      std::vector<std::string> cells{
          entry.nodes.size() == 1 ? entry.nodes.front()
                                  : text(entry.nodes.front(), " and ", entry.nodes.size() - 1),
          entry.geometry, text(grid.in.back(), " to ", grid.out.back()),
          grid.bits == 0 ? "" : std::to_string(grid.bits),
          microseconds_text(grid.microseconds.back())};
      if (grid.bits == 0) cells[2] = std::to_string(grid.out.back());
      for (const double density : {0.5, 0.25, 0.125}) {
        std::string cell;
        for (const LatencyGrid& other : entry.grids) {
          if (other.bits == grid.bits && other.layout == runtime::Layout::kBlocks)
            cell = microseconds_text(other.at(grid.in.back(), grid.out.back(), density));
        }
        cells.push_back(std::move(cell));
      }
      rows.add(std::move(cells));
    }
  }
  return rows.text();
}

// Predictions beside what is measured; the errors become figures.
std::string compare(const LatencyTable& table, std::span<const runtime::Program> programs,
                    std::span<const double> measured, BenchReport& report) {
  Table rows({"network", "predicted us", "measured us", "error"}, "lrrr");
  std::vector<double> errors;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const double predicted = table.predict(programs[i]);
    const double error = predicted / measured[i] - 1.0;
    rows.add({i == 0 ? "full width, 8 bits" : text("random ", i), microseconds_text(predicted),
              microseconds_text(measured[i]), fmt::format("{:+.1f}%", 100.0 * error)});
    if (i > 0) errors.push_back(100.0 * std::abs(error));
  }
  if (errors.empty()) return rows.text();
  const Spread spread = spread_of(std::move(errors));
  report.figures.push_back({"error", "%", spread});
  return rows.text() +
         fmt::format("\nlargest error {:.1f}%, median {:.1f}%\n", spread.max, spread.median);
}

}  // namespace

LatencyTableBench bench_latency_table(const Graph& graph, std::int64_t configurations) {
  const Checkpoint checkpoint = checkpoint_of(graph);
  const runtime::Program forms[] = {lower(checkpoint),
                                    lower(quantized(checkpoint, [] { return 8; }))};
  const SteadySpeed speed(runtime::chosen_kernels());
  std::vector<runtime::Program> programs{forms[1]};
  for (std::int64_t i = 1; i <= configurations; ++i) programs.push_back(random_network(graph, i));
  WholeNetworks whole(programs, speed);
  LatencyTableBench bench;
  bench.table = measure_latency_table(forms, speed, {}, [&] { whole.pass(kWholePasses); });
  bench.table.cpu = this_machine().cpu;
  bench.table.version = kCoppiceVersion;
  BenchReport& report = bench.report;
  report.subject = text(
      "microseconds of every layer at its full width (the table has all widths), one sample, one "
      "thread, ",
      bench.table.isa,
      "; and of whole networks of random widths, bits and empty "
      "blocks, as the sum over layers predicts and as measured");
  report.facts.set("runtime_isa", bench.table.isa);
  report.facts.set("network_sha256", bench.table.network_sha256);
  report.table = layers_text(bench.table) + '\n' +
                 compare(bench.table, programs, whole.microseconds(), report);
  return bench;
}

}  // namespace coppice
