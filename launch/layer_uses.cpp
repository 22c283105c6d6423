#include "launch/layer_uses.h"

#include <fmt/core.h>

#include <algorithm>  // for clamp, max
#include <vector>     // for vector

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"

namespace coppice {
namespace {

// Work of a profile, in elements read: about a second.
constexpr std::int64_t kProfileWork = 1'000'000'000;
constexpr std::int64_t kMostRuns = 500;

bool has_parameters(const runtime::Node& node) {
  return !node.weights.codes.empty() || !node.weights.values.empty() || !node.norm.empty();
}

// The fewest that hold the codes: a file does not say how many the plan had.
int bits_of(const runtime::Node& node) {
  if (!has_parameters(node)) return 0;
  if (node.weights.bits == 32) return 32;
  const int largest = runtime::largest_code(node.weights);
  for (const int bits : {2, 3, 4, 6}) {
    if (largest <= largest_code(bits)) return bits;
  }
  return 8;
}

}  // namespace

LayerUses layer_uses(const runtime::Program& program) {
  const runtime::CpkBytes bytes = runtime::cpk_bytes(program);
  LayerUses uses;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const runtime::Node& node = program.nodes[i];
    uses[node.name] = {.bits = bits_of(node), .bytes = bytes.nodes[i], .time_share = {}};
  }
  return uses;
}

LayerUses layer_uses(const Graph& graph, const QuantPlan& plan) {
  LayerUses uses;
  for (const Node& node : graph.nodes()) {
    LayerUse& use = uses[node.name];
    bool is_fp32 = !node.parameters.empty();
    for (const int index : node.parameters) {
      const ParameterSpec& parameter = graph.parameters()[static_cast<std::size_t>(index)];
      const WeightQuant* quant = plan.weight(parameter.name);
      if (quant == nullptr) {
        use.bytes += 4 * parameter.size();
        continue;
      }
      is_fp32 = false;
      use.bits = stored_bits(quant->bits);
      use.bytes += (parameter.size() * use.bits + 7) / 8 +
                   2 * static_cast<std::int64_t>(quant->scales.size());
    }
    if (is_fp32) use.bits = 32;
  }
  return uses;
}

void profile_layers(const runtime::Program& program, LayerUses& uses) {
  runtime::Engine engine(program);
  std::vector<float> sample(static_cast<std::size_t>(engine.sample_size()));
  for (std::size_t i = 0; i < sample.size(); ++i)
    sample[i] = static_cast<float>((i * 2654435761U) % 256U) / 255.0F;
  const std::int64_t work = std::max<std::int64_t>(1, runtime::work_of(program));
  const std::int64_t runs = std::clamp<std::int64_t>(kProfileWork / work, 1, kMostRuns);
  engine.profile(sample, std::max<std::int64_t>(1, runs / 20));  // warm
  const std::vector<runtime::NodeTime> times = engine.profile(sample, runs);
  double total = 0.0;
  for (const runtime::NodeTime& time : times) total += time.microseconds;
  if (total == 0.0) return;
  for (const runtime::NodeTime& time : times) {
    if (const auto found = uses.find(time.node); found != uses.end())
      found->second.time_share = time.microseconds / total;
  }
}

std::string bits_text(const LayerUse& use) {
  return use.bits == 0 ? std::string() : std::to_string(use.bits);
}

std::string time_text(const LayerUse& use) {
  return use.time_share ? fmt::format("{:.1f}%", 100.0 * *use.time_share) : "-";
}

std::int64_t total_bytes(const LayerUses& uses) {
  std::int64_t sum = 0;
  for (const auto& [name, use] : uses) sum += use.bytes;
  return sum;
}

}  // namespace coppice
