#include "deploy/latency_table.h"

#include <algorithm>  // for find, find_if, max, min, upper_bound

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/schedule.h"
#include "deploy/runtime/step.h"

namespace coppice {
namespace {

using runtime::Inference;
using runtime::Layout;
using runtime::Op;

// Output channels that kernels work in, at least.
constexpr std::int64_t kRegisterChannels = 8;

std::int64_t channels_at_once(const LatencyGrid& grid) {
  if (grid.bits == 0) return 1;
  return grid.layout == Layout::kBlocks ? runtime::kBlockSide : kRegisterChannels;
}

// Between which entries of an axis a value lies: (1 - share) of `first`, share of the next one.
struct Place {
  std::size_t first = 0;
  double share = 0.0;
};

template <typename T>
Place place_on(const std::vector<T>& axis, double value) {
  const auto above = std::upper_bound(axis.begin(), axis.end(), value,
                                      [](double v, T entry) { return v < double(entry); });
  if (above == axis.begin()) return {};
  const auto first = static_cast<std::size_t>(above - axis.begin()) - 1;
  if (above == axis.end()) return {first, 0.0};
  const auto low = static_cast<double>(axis[first]);
  return {first, (value - low) / (static_cast<double>(*above) - low)};
}

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

std::string pair_text(const runtime::Pair& pair) { return text(pair[0], 'x', pair[1]); }

bool has_window(Op op) { return op == Op::conv2d || op == Op::max_pool2d || op == Op::avg_pool2d; }

// "image 28x28", "64 steps" or "vector": a shape without its channels.
std::string extent_text(const runtime::Shape& shape) {
  if (shape.size() == 3) return text("image ", shape[1], 'x', shape[2]);
  return shape.size() == 2 ? text(shape[0], " steps") : "vector";
}

std::string_view kind_of(const std::optional<runtime::Grid>& grid) {
  return grid ? "codes" : "values";
}

// All that the time of `node` depends on but channels and weights. `output` is the node whose
// output is written.
std::string geometry_of(const runtime::Program& program, const Inference& inference,
                        std::size_t node, std::size_t output) {
  const runtime::Node& of = program.nodes[node];
  std::string out(runtime::op_name(of.op));
  if (has_window(of.op)) {
    out += text(' ', pair_text(of.kernel), " stride ", pair_text(of.stride), " padding ",
                pair_text(of.padding));
  }
  if (of.op == Op::group_norm) out += text(" of ", of.group_size);
  if (of.op == Op::conv2d && of.groups > 1) {
    const bool is_depthwise = product_shape(of, inference).is_depthwise();
    out += is_depthwise ? " depthwise" : text(" groups ", of.groups);
  }
  for (const std::int32_t input : of.inputs) {
    const auto at = static_cast<std::size_t>(input);
    const runtime::Shape image = flat_image(program, inference, of);
    out += text(", ", kind_of(inference.grids()[at]), " of ",
                extent_text(image.empty() ? inference.shapes()[at] : image));
  }
  if (of.inputs.empty()) out += ", " + extent_text(inference.shapes()[node]);
  return out + text(" to ", kind_of(inference.grids()[output]));
}

std::int64_t channels_of(const runtime::Shape& shape) {
  return shape.size() == 3 ? shape.front() : shape.back();
}

// Of a node that `inference` has added.
TimedNode timed_node(const runtime::Program& program, const Inference& inference, std::size_t index,
                     std::size_t output) {
  const runtime::Node& node = program.nodes[index];
  TimedNode out{.index = index,
                .name = node.name,
                .geometry = geometry_of(program, inference, index, output)};
  if (inference.counts(node).row == 0) {
    out.out = channels_of(inference.shapes()[index]);
    return out;
  }
  const runtime::ProductShape shape = product_shape(node, inference);
  out.bits = shape.is_integer() ? node.weights.bits : 32;
  out.layout = node.weights.layout == Layout::kRows ? dense_layout(shape) : node.weights.layout;
  const runtime::Shape image = flat_image(program, inference, node);
  out.in = image.empty() ? shape.depth : image.front();
  out.out = shape.out;
  if (out.layout == Layout::kBlocks) out.density = block_density(node.weights, shape);
  return out;
}

}  // namespace

double LatencyGrid::at(std::int64_t in_channels, std::int64_t out_channels,
                       double block_density) const {
  const std::int64_t rounded =
      std::min(round_up(out_channels, channels_at_once(*this)), std::max(out_channels, out.back()));
  const std::int64_t read = layout == Layout::kBlocks
                                ? std::min(round_up(in_channels, runtime::kBlockSide), in.back())
                                : in_channels;
  const Place at_in = place_on(in, static_cast<double>(read));
  const Place at_out = place_on(out, static_cast<double>(rounded));
  const auto value = [&](std::size_t i, std::size_t o, std::size_t d) {
    return microseconds[(i * out.size() + o) * density.size() + d];
  };
  const auto of_density = [&](std::size_t d) {
    double sum = 0.0;
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
      for (const std::size_t o : {std::size_t{0}, std::size_t{1}}) {
        const double share = (i == 0 ? 1.0 - at_in.share : at_in.share) *
                             (o == 0 ? 1.0 - at_out.share : at_out.share);
        if (share != 0.0) sum += share * value(at_in.first + i, at_out.first + o, d);
      }
    }
    return sum;
  };
  const Place at_density = place_on(density, block_density);
  const double low = of_density(at_density.first);
  if (density.size() > 1 && block_density < density[0]) {
    const double slope = (of_density(1) - low) / (density[1] - density[0]);
    return std::max(low / 10.0, low - slope * (density[0] - block_density));
  }
  if (at_density.share == 0.0) return low;
  return low + at_density.share * (of_density(at_density.first + 1) - low);
}

runtime::Shape flat_image(const runtime::Program& program, const Inference& inference,
                          const runtime::Node& node) {
  if (node.op != Op::linear) return {};
  auto at = static_cast<std::size_t>(node.inputs[0]);
  while (inference.shapes()[at].size() != 3) {
    const runtime::Node& from = program.nodes[at];
    const bool is_kept = runtime::changes_nothing(from.op) || runtime::is_elementwise(from.op);
    if (!is_kept || from.inputs.empty()) return {};
    at = static_cast<std::size_t>(from.inputs[0]);
  }
  return inference.shapes()[at];
}

std::vector<TimedNode> timed_nodes(const runtime::Program& program) {
  const Inference inference = infer(program);
  if (!inference.follows_orders() || program.input.type != runtime::ElementType::kFloat32)
    throw ConfigError("latency table: the network runs on the interpreter's loops");
  const runtime::Schedule schedule =
      make_schedule(program, inference, true, runtime::Folding::kAll);
  std::vector<TimedNode> out;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const Op op = program.nodes[i].op;
    if (schedule.produces[i] < 0 || (op != Op::input && runtime::run_of(op) == nullptr)) continue;
    out.push_back(
        timed_node(program, inference, i, static_cast<std::size_t>(schedule.produces[i])));
  }
  return out;
}

double LatencyTable::microseconds(const TimedNode& node) const {
  const auto fail = [&](const auto&... parts) {
    throw ConfigError(
        text("latency table: node '", node.name, "' (", node.geometry, "): ", parts...));
  };
  const LatencyEntry* of_name = nullptr;
  const LatencyEntry* found = nullptr;
  for (const LatencyEntry& entry : entries) {
    if (std::ranges::find(entry.nodes, node.name) == entry.nodes.end()) continue;
    of_name = &entry;
    if (entry.geometry == node.geometry) found = &entry;
  }
  if (of_name == nullptr) fail("the table is of a network without it");
  if (found == nullptr) fail("the table has it as ", of_name->geometry);
  for (const LatencyGrid& grid : found->grids) {
    if (grid.bits != node.bits || grid.layout != node.layout) continue;
    if (!grid.holds(node.in, node.out)) {
      fail("expected at most ", grid.in.back(), " to ", grid.out.back(), " channels, got ", node.in,
           " to ", node.out);
    }
    return grid.at(node.in, node.out, node.density);
  }
  fail("the table has no weights of ", node.bits, " bits in ", layout_name(node.layout));
  return 0.0;
}

double LatencyTable::predict(const runtime::Program& program) const {
  double sum = 0.0;
  for (const TimedNode& node : timed_nodes(program)) sum += microseconds(node);
  return sum;
}

std::string network_digest(const runtime::Program& program) {
  std::string all;
  for (const TimedNode& node : timed_nodes(program))
    all += text(node.name, '\n', node.geometry, '\n', node.in, ' ', node.out, '\n');
  return sha256_hex(all);
}

std::string_view layout_name(Layout layout) {
  constexpr std::string_view kNames[] = {"rows", "panels", "blocks", "depthwise"};
  return kNames[static_cast<std::size_t>(layout)];
}

}  // namespace coppice
