#include <fmt/core.h>

#include <algorithm>  // for clamp
#include <chrono>     // for steady_clock

#include "core/text.h"
#include "deploy/runtime/arena_use.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/work.h"
#include "kernels/ceilings.h"
#include "launch/bench/bench.h"
#include "launch/tables.h"

namespace coppice {
namespace {

constexpr int kBlocks = 9;
constexpr double kBlockSeconds = 0.1;
constexpr double kCeilingSeconds = 0.002;

// 1e9 a second: multiply-adds in registers, and bytes read and written by y += a x within
// the first-level cache.
struct Ceiling {
  double floats = 0.0;
  double integers = 0.0;
  double bytes = 0.0;
};

constexpr std::int64_t kFloats = 2048;  // 8 KiB, twice

struct MovedBytes {
  std::int64_t operations = 0;
  float result = 0.0F;
};

// y += a x. Half a byte counts as an operation, as half a multiply-add does.
MovedBytes move_in_cache(std::int64_t rounds) {
  static const std::vector<float> x(kFloats, 1.0F);
  static std::vector<float> y(kFloats);
  for (std::int64_t round = 0; round < rounds; ++round)
    kernels::scale_and_add(1e-6F, x.data(), y.data(), kFloats);
  return {rounds * kFloats * 12 * 2, y[0]};
}

template <typename Loop>
double rate_of(Loop loop, std::int64_t rounds) {
  using Clock = std::chrono::steady_clock;
  static volatile double sink = 0.0;
  std::vector<double> rates;
  for (int i = 0; i < 3; ++i) {
    const Clock::time_point begin = Clock::now();
    const auto done = loop(rounds);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    sink = sink + static_cast<double>(done.result);
    rates.push_back(static_cast<double>(done.operations) / 2 / seconds * 1e-9);
  }
  return spread_of(std::move(rates)).median;
}

// The loops of an instruction set and the one through memory, for about as long each.
class CeilingTimer {
 public:
  explicit CeilingTimer(const kernels::CeilingLoops& loops) : loops_(loops) {
    rounds_ = rounds_for(loops.floats, 1 << 16);
    moves_ = rounds_for(move_in_cache, 1 << 10);
  }
  Ceiling measure() const {
    return {rate_of(loops_.floats, rounds_), rate_of(loops_.integers, rounds_),
            rate_of(move_in_cache, moves_)};
  }

 private:
  template <typename Loop>
  static std::int64_t rounds_for(Loop loop, std::int64_t trial) {
    const double a_round = static_cast<double>(loop(1).operations) / 2;
    return static_cast<std::int64_t>(kCeilingSeconds * rate_of(loop, trial) * 1e9 / a_round);
  }

  const kernels::CeilingLoops& loops_;
  std::int64_t rounds_ = 1;
  std::int64_t moves_ = 1;
};

// Of all blocks: the time of every node, and the ceiling around it.
struct Blocks {
  std::vector<std::vector<double>> microseconds;  // [node][block]
  std::vector<Ceiling> ceilings;                  // [block]
};

Blocks measure(runtime::Engine& engine, std::span<const float> sample, const CeilingTimer& timer) {
  double whole = 0.0;
  for (const runtime::NodeTime& time : engine.profile(sample, 5)) whole += time.microseconds;
  const auto runs = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(kBlockSeconds * 1e6 / std::max(whole, 0.1)), 3, 5000);
  Blocks blocks;
  blocks.microseconds.resize(engine.profile(sample, runs / 4 + 1).size());  // warm
  for (int block = 0; block < kBlocks; ++block) {
    const Ceiling before = timer.measure();
    const std::vector<runtime::NodeTime> times = engine.profile(sample, runs);
    const Ceiling after = timer.measure();
    for (std::size_t i = 0; i < times.size(); ++i)
      blocks.microseconds[i].push_back(times[i].microseconds);
    blocks.ceilings.push_back({(before.floats + after.floats) / 2,
                               (before.integers + after.integers) / 2,
                               (before.bytes + after.bytes) / 2});
  }
  return blocks;
}

// Arithmetic, or bytes where there is none, over the ceiling of the same block, so that a core that
// slows down does so for both.
Spread share_of_ceiling(const runtime::NodeWork& work, std::span<const double> microseconds,
                        std::span<const Ceiling> ceilings) {
  std::vector<double> shares;
  shares.reserve(ceilings.size());
  for (std::size_t b = 0; b < ceilings.size(); ++b) {
    const Ceiling& ceiling = ceilings[b];
    const std::int64_t amount = work.multiply_adds > 0 ? work.multiply_adds : work.bytes;
    const double rate = static_cast<double>(amount) * 1e-3 / microseconds[b];
    shares.push_back(rate / (work.multiply_adds == 0 ? ceiling.bytes
                             : work.is_integer       ? ceiling.integers
                                                     : ceiling.floats));
  }
  return spread_of(std::move(shares));
}

Spread spread_of_kind(const std::vector<Ceiling>& ceilings, double Ceiling::*kind) {
  std::vector<double> rates;
  rates.reserve(ceilings.size());
  for (const Ceiling& ceiling : ceilings) rates.push_back(ceiling.*kind);
  return spread_of(std::move(rates));
}

std::string type_of(const runtime::NodeWork& work) {
  if (work.multiply_adds == 0) return "";
  return work.is_integer ? "int8" : "fp32";
}

// One model's rows. Nodes that take no time of their own are left out.
class LayerRows {
 public:
  LayerRows(const NamedProgram& model, const Blocks& blocks, BenchReport& report)
      : model_(model), blocks_(blocks), report_(report) {
    for (const std::vector<double>& times : blocks.microseconds)
      whole_us_ += spread_of(times).median;
  }

  void add(std::size_t index, const runtime::NodeWork& work) {
    const std::vector<double>& microseconds = blocks_.microseconds[index];
    const Spread us = spread_of(microseconds);
    if (us.max <= 0.0) return;
    const runtime::Node& node = model_.program.nodes[index];
    const std::string name = text(model_.name, '.', node.name);
    report_.figures.push_back({name, "us", us});
    const Spread share = share_of_ceiling(work, microseconds, blocks_.ceilings);
    report_.figures.push_back({name + ".of_ceiling", "", share});
    multiply_adds_ += work.multiply_adds;
    const auto multiply_adds = static_cast<double>(work.multiply_adds);
    const auto bytes = static_cast<double>(work.bytes);
    const bool computes = work.multiply_adds > 0;
    table_.add({node.name, std::string(op_name(node.op)), type_of(work),
                fmt::format("{:.2f}", us.median),
                fmt::format("{:.1f}%", 100.0 * us.median / whole_us_),
                computes ? with_commas(work.multiply_adds) : "",
                computes ? fmt::format("{:.1f}", multiply_adds / bytes) : "",
                computes ? fmt::format("{:.1f}", multiply_adds * 1e-3 / us.median) : "",
                fmt::format("{:.1f}", bytes * 1e-3 / us.median),
                fmt::format("{:.0f}%", 100.0 * share.median)});
  }

  std::string text_of() {
    table_.add({"total", "", "", fmt::format("{:.2f}", whole_us_), "100.0%",
                with_commas(multiply_adds_), "",
                fmt::format("{:.1f}", static_cast<double>(multiply_adds_) * 1e-3 / whole_us_), "",
                ""});
    return table_.text();
  }

 private:
  const NamedProgram& model_;
  const Blocks& blocks_;
  BenchReport& report_;
  double whole_us_ = 0.0;
  std::int64_t multiply_adds_ = 0;
  Table table_{{"layer", "operation", "type", "us", "share", "MACs", "MACs/byte", "GMAC/s", "GB/s",
                "of ceiling"},
               "lllrrrrrrr"};
};

std::string arena_line(const runtime::ArenaUse& use) {
  const auto percent_of_plan = [&](std::int64_t bytes) {
    return 100.0 * static_cast<double>(bytes) /
           static_cast<double>(std::max<std::int64_t>(use.planned_bytes, 1));
  };
  return fmt::format(
      "arena: {} bytes planned; a run writes up to byte {} ({:.1f}%), {} bytes of them ({:.1f}%)\n",
      with_commas(use.planned_bytes), with_commas(use.high_water_bytes),
      percent_of_plan(use.high_water_bytes), with_commas(use.written_bytes),
      percent_of_plan(use.written_bytes));
}

void add_model(const NamedProgram& model, BenchReport& report) {
  runtime::Engine engine(model.program);
  std::vector<float> sample(static_cast<std::size_t>(engine.sample_size()));
  for (std::size_t i = 0; i < sample.size(); ++i)
    sample[i] = static_cast<float>((i * 2654435761U) % 256U) / 255.0F;
  const runtime::ArenaUse arena = arena_use(engine, sample);
  const CeilingTimer timer(*kernels::ceiling_loops(runtime::chosen_kernels().isa));
  const Blocks blocks = measure(engine, sample, timer);
  const Spread floats = spread_of_kind(blocks.ceilings, &Ceiling::floats);
  const Spread integers = spread_of_kind(blocks.ceilings, &Ceiling::integers);
  report.figures.push_back({model.name + ".ceiling.fp32", "GMAC/s", floats});
  const Spread bytes = spread_of_kind(blocks.ceilings, &Ceiling::bytes);
  report.figures.push_back({model.name + ".ceiling.int8", "GMAC/s", integers});
  report.figures.push_back({model.name + ".ceiling.memory", "GB/s", bytes});
  LayerRows rows(model, blocks, report);
  const std::vector<runtime::NodeWork> work = runtime::work_by_node(model.program);
  for (std::size_t i = 0; i < work.size(); ++i) rows.add(i, work[i]);
  report.table +=
      fmt::format("{}{}: {}, ceilings {:.1f} GMAC/s of fp32, {:.1f} of integers, {:.0f} GB/s\n{}{}",
                  report.table.empty() ? "" : "\n", model.name, engine.isa(), floats.median,
                  integers.median, bytes.median, rows.text_of(), arena_line(arena));
  Json facts;
  facts.set("planned_bytes", arena.planned_bytes);
  facts.set("high_water_bytes", arena.high_water_bytes);
  facts.set("written_bytes", arena.written_bytes);
  report.facts.set(model.name + ".arena", std::move(facts));
}

}  // namespace

BenchReport bench_runtime(std::span<const NamedProgram> models) {
  BenchReport report;
  report.subject =
      text("single samples, one thread, median of ", kBlocks,
           " blocks in turn with the ceilings: multiply-adds in registers, of fp32 and of "
           "integers (pairs of 16 bits, bytes with VNNI), and for layers without any y += a x in "
           "the first-level cache; reading the "
           "clock adds some 50 ns to a layer; bytes: parameters, inputs and output once");
  report.facts.set("isa", runtime::chosen_kernels().isa);
  for (const NamedProgram& model : models) add_model(model, report);
  return report;
}

}  // namespace coppice
