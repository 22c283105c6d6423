#include "deploy/latency_measurement.h"

#include <algorithm>  // for find, max, min, nth_element, sort, unique
#include <utility>    // for move

#include "deploy/latency_probe.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"

namespace coppice {
namespace {

using runtime::Layout;

constexpr std::int64_t kMostOut = 32;  // entries of an axis
constexpr std::int64_t kStep = 8;
constexpr std::int64_t kMostColdBytes = 128 << 10;
constexpr double kLeastMicroseconds = 0.001;

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// Multiples of `step` and `all`.
std::vector<std::int64_t> steps_to(std::int64_t all, std::int64_t step) {
  std::vector<std::int64_t> axis;
  for (std::int64_t value = step; value < all; value += step) axis.push_back(value);
  axis.push_back(all);
  return axis;
}

std::vector<std::int64_t> out_axis(std::int64_t all) {
  return steps_to(
      all, kStep * std::max<std::int64_t>(1, round_up(all, kStep * kMostOut) / (kStep * kMostOut)));
}

std::vector<std::int64_t> in_axis(std::int64_t all) {
  std::vector<std::int64_t> axis;
  for (const std::int64_t value :
       {std::int64_t{1}, std::int64_t{4}, round_up(all / 4, kStep), round_up(all / 2, kStep)}) {
    if (value > 0 && value < all) axis.push_back(value);
  }
  axis.push_back(all);
  std::ranges::sort(axis);
  axis.erase(std::unique(axis.begin(), axis.end()), axis.end());
  return axis;
}

// The kinds of weights that a node may have, as grids without times.
std::vector<LatencyGrid> grids_of(const runtime::Node& node, const TimedNode& timed) {
  if (timed.bits == 0) {
    const std::int64_t step = node.op == runtime::Op::input        ? timed.out
                              : node.op == runtime::Op::group_norm ? node.group_size
                                                                   : kStep;
    const std::int64_t least = round_up(kStep, step);
    return {{0,
             Layout::kRows,
             {1},
             steps_to(timed.out, std::max(least, round_up(timed.out / kMostOut, step))),
             {1.0},
             {}}};
  }
  std::vector<LatencyGrid> grids;
  const bool is_depthwise = timed.layout == Layout::kDepthwise;
  const bool is_grouped = timed.layout == Layout::kRows;
  const std::vector<std::int64_t> out =
      is_grouped ? steps_to(timed.out, round_up(kStep, node.groups)) : out_axis(timed.out);
  const std::vector<std::int64_t> in = in_axis(timed.in);
  const Layout dense = is_depthwise || is_grouped ? timed.layout : Layout::kPanels;
  if (timed.bits == 32) return {{32, dense, in, out, {1.0}, {}}};
  for (const int bits : {8, 4}) {
    grids.push_back({bits, dense, in, out, {1.0}, {}});
    if (dense != Layout::kPanels) continue;
    std::vector<std::int64_t> fours = out;  // blocks go by four channels
    if (fours.front() > runtime::kBlockSide) fours.insert(fours.begin(), runtime::kBlockSide);
    grids.push_back({bits, Layout::kBlocks, in, fours, {0.125, 0.25, 0.5, 1.0}, {}});
  }
  return grids;
}

// One candidate at work.
class Probed {
 public:
  explicit Probed(Probe probe)
      : node_(probe.node),
        engine_(std::move(probe.program)),
        sample_(static_cast<std::size_t>(engine_.sample_size())) {
    for (std::size_t i = 0; i < sample_.size(); ++i)
      sample_[i] = static_cast<float>(i % 17) / 16.0F;
  }

  double run_us() { return engine_.profile(sample_, 1)[node_].microseconds; }

 private:
  std::size_t node_;
  runtime::Engine engine_;
  std::vector<float> sample_;
};

// Where the times of one layer go.
struct Layer {
  const runtime::Program* program = nullptr;
  TimedNode node;
  std::size_t entry = 0;  // of the table
  // [grid][cell][run].
  std::vector<std::vector<std::vector<SteadyTime>>> times;
};

class Measurement {
 public:
  Measurement(const SteadySpeed& speed, int runs) : speed_(speed), runs_(runs) {}

  // One pass over all candidates of `grid`.
  void pass(const Layer& layer, const LatencyGrid& grid, const ColdCache& cold,
            std::vector<std::vector<SteadyTime>>& times) const {
    std::size_t cell = 0;
    times.resize(grid.in.size() * grid.out.size() * grid.density.size());
    for (const std::int64_t in : grid.in) {
      for (const std::int64_t out : grid.out) {
        for (const double density : grid.density) {
          Probed probe(
              make_probe(*layer.program, layer.node, {grid.bits, grid.layout, in, out, density}));
          time(probe, cold, times[cell++]);
        }
      }
    }
  }

 private:
  void time(Probed& probe, const ColdCache& cold, std::vector<SteadyTime>& times) const {
    const auto run = [&] {
      cold.read();
      return probe.run_us();
    };
    run();  // its code and the branches in it are known
    run();
    speed_.time(runs_, run, times);
  }

  const SteadySpeed& speed_;
  int runs_;
};

LatencyEntry* entry_of(LatencyTable& table, const LatencyGrid& widest,
                       const std::string& geometry) {
  for (LatencyEntry& entry : table.entries) {
    const LatencyGrid& grid = entry.grids.front();
    if (entry.geometry == geometry && grid.bits == widest.bits && grid.in == widest.in &&
        grid.out == widest.out)
      return &entry;
  }
  return nullptr;
}

// Of the network's weights, as far as they matter.
std::size_t cold_bytes(const runtime::Program& program) {
  std::int64_t sum = 0;
  for (const runtime::Node& node : program.nodes) sum += runtime::parameter_bytes(node);
  return static_cast<std::size_t>(std::min(sum, kMostColdBytes));
}

// Layers of one geometry and width are one.
void add_layers(const runtime::Program& program, LatencyTable& table, std::vector<Layer>& layers) {
  for (const TimedNode& node : timed_nodes(program)) {
    std::vector<LatencyGrid> grids = grids_of(program.nodes[node.index], node);
    if (LatencyEntry* known = entry_of(table, grids.front(), node.geometry)) {
      if (std::ranges::find(known->nodes, node.name) == known->nodes.end())
        known->nodes.push_back(node.name);
      continue;
    }
    layers.push_back({&program, node, table.entries.size(), {}});
    table.entries.push_back({{node.name}, node.geometry, std::move(grids)});
  }
}

}  // namespace

LatencyTable measure_latency_table(std::span<const runtime::Program> forms,
                                   const SteadySpeed& speed, const LatencyEffort& effort,
                                   const std::function<void()>& after_pass) {
  LatencyTable table;
  table.isa = runtime::chosen_kernels().isa;
  table.network_sha256 = network_digest(forms.front());
  table.reference_us = speed.reference_us();
  std::vector<Layer> layers;
  for (const runtime::Program& program : forms) add_layers(program, table, layers);
  const Measurement measurement(speed, effort.runs);
  for (int pass = 0; pass < effort.passes; ++pass) {
    for (Layer& layer : layers) {
      const ColdCache cold(cold_bytes(*layer.program));
      const std::vector<LatencyGrid>& grids = table.entries[layer.entry].grids;
      layer.times.resize(grids.size());
      for (std::size_t g = 0; g < grids.size(); ++g)
        measurement.pass(layer, grids[g], cold, layer.times[g]);
    }
    if (after_pass) after_pass();
  }
  for (Layer& layer : layers) {
    std::vector<LatencyGrid>& grids = table.entries[layer.entry].grids;
    for (std::size_t g = 0; g < grids.size(); ++g) {
      for (std::vector<SteadyTime>& cell : layer.times[g])
        grids[g].microseconds.push_back(std::max(calm_median(cell), kLeastMicroseconds));
    }
  }
  return table;
}

// At work.
struct WholeNetworks::Network {
  explicit Network(const runtime::Program& program)
      : engine(program),
        sample(static_cast<std::size_t>(engine.sample_size()), 0.5F),
        logits(static_cast<std::size_t>(engine.logit_count())) {}

  double run_us() {
    return time_of_call([&] { engine.run(sample, logits); });
  }

  runtime::Engine engine;
  std::vector<float> sample;
  std::vector<float> logits;
  std::vector<SteadyTime> times;
};

WholeNetworks::WholeNetworks(std::span<const runtime::Program> programs, const SteadySpeed& speed)
    : speed_(speed) {
  for (const runtime::Program& program : programs) networks_.emplace_back(program);
}

WholeNetworks::~WholeNetworks() = default;

void WholeNetworks::pass(int times) {
  constexpr int kRuns = 5;
  for (int i = 0; i < times; ++i) {
    for (Network& network : networks_) {
      network.run_us();
      speed_.time(
          kRuns, [&] { return network.run_us(); }, network.times);
    }
  }
}

std::vector<double> WholeNetworks::microseconds() {
  std::vector<double> out;
  for (Network& network : networks_) out.push_back(calm_median(network.times));
  return out;
}

}  // namespace coppice
