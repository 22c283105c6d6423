#include "deploy/runtime/inference.h"

#include <algorithm>  // for all_of, max
#include <cmath>      // for isfinite
#include <cstdlib>    // for abs
#include <limits>     // for numeric_limits

#include "deploy/runtime/error.h"
#include "deploy/runtime/layout.h"

namespace coppice::runtime {
namespace {

constexpr std::int64_t kMaxInputs = 255;
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxCode = 255;  // |code - zero point|

template <typename... Parts>
[[noreturn]] void fail_node(const Node& node, const Parts&... parts) {
  fail("node '", node.name.substr(0, 64), "' (", op_name(node.op), "): ", parts...);
}

bool is_positive(float value) { return std::isfinite(value) && value > 0.0F; }

bool is_image(const Shape& shape) { return shape.size() == 3; }

bool all_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

// -1 unless every axis and the product are in range.
std::int64_t bounded_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t axis : shape) {
    if (axis < 1 || axis > kMaxAxis) return -1;
    count *= axis;
    if (count > kMaxElements) return -1;
  }
  return shape.empty() ? -1 : count;
}

bool has_two_codes(std::int8_t byte) {
  const auto halves = static_cast<std::uint8_t>(byte);
  return (halves & 0xFU) != 8 && halves >> 4U != 8;  // -8
}

// The axis that concat joins and norms have parameters for.
std::size_t channel_axis(const Shape& shape) { return shape.size() == 3 ? 0 : shape.size() - 1; }

using Inputs = std::vector<const Shape*>;

void need_inputs(const Node& node, const Inputs& in, std::size_t least, std::size_t most) {
  if (in.size() < least || in.size() > most) {
    fail_node(node, "expected ", least, " to ", most, " inputs, got ", in.size());
  }
}

void need_rank(const Node& node, const Shape& shape, std::size_t least, std::size_t most) {
  if (shape.size() < least || shape.size() > most) {
    fail_node(node, "expected an input of ", least, " to ", most, " axes, got ", shape_text(shape));
  }
}

Shape windowed(const Node& node, const Shape& in, std::int64_t channels) {
  need_rank(node, in, 3, 3);
  Shape out{channels, 0, 0};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto [kernel, stride, padding] =
        std::array{node.kernel[i], node.stride[i], node.padding[i]};
    if (kernel < 1 || kernel > kMaxWindow || stride < 1 || stride > kMaxWindow || padding < 0 ||
        padding > kMaxWindow) {
      fail_node(node, "kernel ", kernel, ", stride ", stride, " or padding ", padding,
                " is out of range");
    }
    const std::int64_t padded = in[i + 1] + 2 * padding;
    if (kernel > padded) fail_node(node, "kernel ", kernel, " is larger than the padded ", padded);
    out[i + 1] = (padded - kernel) / stride + 1;
  }
  return out;
}

Shape pool_shape(const Node& node, const Shape& in) {
  Shape out = windowed(node, in, in[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    if (2 * node.padding[i] > node.kernel[i]) fail_node(node, "padding above half of the kernel");
  }
  return out;
}

Shape conv2d_shape(const Node& node, const Shape& in) {
  need_rank(node, in, 3, 3);
  if (node.out < 1 || node.out > kMaxAxis || node.groups < 1 || in[0] % node.groups != 0 ||
      node.out % node.groups != 0) {
    fail_node(node, node.groups, " groups do not divide ", in[0], " and ", node.out, " channels");
  }
  return windowed(node, in, node.out);
}

Shape linear_shape(const Node& node, const Shape& in) {
  need_rank(node, in, 1, 2);
  Shape out = in;
  out.back() = node.out;
  return out;
}

Shape slice_shape(const Node& node, const Shape& in) {
  need_rank(node, in, 1, 1);
  if (node.begin < 0 || node.length < 1 || node.length > in[0] ||
      node.begin > in[0] - node.length) {
    fail_node(node, "features ", node.begin, " and ", node.length, " more are not within ", in[0]);
  }
  return {node.length};
}

Shape add_shape(const Node& node, const Inputs& in) {
  need_inputs(node, in, 2, kMaxInputs);
  for (const Shape* shape : in) {
    if (*shape != *in[0])
      fail_node(node, "inputs ", shape_text(*in[0]), " and ", shape_text(*shape), " differ");
  }
  return *in[0];
}

Shape concat_shape(const Node& node, const Inputs& in) {
  need_inputs(node, in, 2, kMaxInputs);
  const std::size_t axis = channel_axis(*in[0]);
  Shape out = *in[0];
  for (std::size_t i = 1; i < in.size(); ++i) {
    Shape other = *in[i];
    const bool is_same_rank = other.size() == out.size();
    const std::int64_t channels = is_same_rank ? other[axis] : 0;
    if (is_same_rank) other[axis] = out[axis];
    if (other != out) {
      fail_node(node, "inputs ", shape_text(*in[0]), " and ", shape_text(*in[i]),
                " differ beside the channels");
    }
    out[axis] += channels;
  }
  return out;
}

Shape channel_scale_shape(const Node& node, const Inputs& in) {
  need_inputs(node, in, 2, 2);
  if (in[0]->size() != 3 || *in[1] != Shape{(*in[0])[0]}) {
    fail_node(node, "expected an image and one factor a channel, got ", shape_text(*in[0]), " and ",
              shape_text(*in[1]));
  }
  return *in[0];
}

Shape norm_shape(const Node& node, const Shape& in) {
  const bool is_image = node.op != Op::layer_norm;
  need_rank(node, in, is_image ? 3 : 1, is_image ? 3 : 2);
  if (!is_positive(node.epsilon)) fail_node(node, "expected epsilon > 0, got ", node.epsilon);
  if (node.op == Op::group_norm && (node.group_size < 1 || in[0] % node.group_size != 0))
    fail_node(node, "groups of ", node.group_size, " do not divide ", in[0], " channels");
  return in;
}

Shape same_shape(const Node& node, const Shape& in) {
  if (!std::isfinite(node.slope) || !std::isfinite(node.mean) || !is_positive(node.deviation))
    fail_node(node, "slope, mean or deviation is out of range");
  return in;
}

Shape output_shape(const Node& node, const Inputs& in) {
  if (node.op == Op::add) return add_shape(node, in);
  if (node.op == Op::concat) return concat_shape(node, in);
  if (node.op == Op::channel_scale) return channel_scale_shape(node, in);
  need_inputs(node, in, 1, 1);
  switch (node.op) {
    case Op::conv2d:
      return conv2d_shape(node, *in[0]);
    case Op::linear:
      return linear_shape(node, *in[0]);
    case Op::max_pool2d:
    case Op::avg_pool2d:
      return pool_shape(node, *in[0]);
    case Op::global_avg_pool:
      need_rank(node, *in[0], 3, 3);
      return {(*in[0])[0]};
    case Op::flatten:
      return {element_count(*in[0])};
    case Op::group_norm:
    case Op::batch_norm:
    case Op::layer_norm:
      return norm_shape(node, *in[0]);
    case Op::slice:
      return slice_shape(node, *in[0]);
    case Op::last_step:
      need_rank(node, *in[0], 2, 2);
      return {(*in[0])[1]};
    default:
      return same_shape(node, *in[0]);
  }
}

void check_codes(const Node& node, const ParameterCounts& counts) {
  const Weights& weights = node.weights;
  const int limit = weights.bits == 8 ? 127 : 7;
  const bool are_in_range = weights.layout != Layout::kRows && weights.bits == 4
                                ? std::ranges::all_of(weights.codes, has_two_codes)
                                : std::ranges::all_of(weights.codes, [&](std::int8_t code) {
                                    return code >= -limit && code <= limit;
                                  });
  if (static_cast<std::int64_t>(weights.scales.size()) != counts.channels ||
      !weights.values.empty() || !are_in_range ||
      !std::ranges::all_of(weights.scales, is_positive)) {
    fail_node(node, "expected ", counts.channels, " x ", counts.row, " codes of ", weights.bits,
              " bits with positive scales");
  }
}

// Whatever the input's codes are, no accumulator leaves 32 bits, and no multiplier is zero or
// infinite.
void check_integers(const Node& node, const ProductShape& shape, const Grid& input) {
  const std::vector<std::int64_t> sums = code_sums(node.weights, shape);
  for (std::size_t c = 0; c < sums.size(); ++c) {
    std::int64_t sum = sums[c] * kMaxCode;
    if (!node.bias_codes.empty()) sum += std::abs(std::int64_t{node.bias_codes[c]});
    if (sum > kMaxInt32) fail_node(node, "the accumulator of channel ", c, " can pass 32 bits");
    const float scale = input.scale * node.weights.scales[c];
    if (!is_positive(scale) || (node.grid && !is_positive(scale / node.grid->scale)))
      fail_node(node, "the multiplier of channel ", c, " is zero or infinite");
  }
}

}  // namespace

Inference::Inference(const InputSpec& input) : input_(input) {
  if (input.shape.size() > 3 || bounded_count(input.shape) < 0)
    fail("input: shape ", shape_text(input.shape), " is out of range");
  if (input.labels_per_sample < 1 || input.labels_per_sample > kMaxAxis)
    fail("input: ", input.labels_per_sample, " labels a sample");
}

const Shape& Inference::input_shape(const Node& node, std::size_t input) const {
  return shapes_[static_cast<std::size_t>(node.inputs[input])];
}

void Inference::add(const Node& node) {
  const OpInfo* info = find_op(static_cast<std::uint8_t>(node.op));
  if (info == nullptr || !info->runs) fail_node(node, "this version does not run the operation");
  if ((node.op == Op::input) != shapes_.empty())
    fail_node(node, "expected the first node, and no other, to be the input");
  if (shapes_.size() >= kMaxNodes) fail("more than ", kMaxNodes, " nodes");
  Inputs shapes;
  for (const std::int32_t input : node.inputs) {
    if (input < 0 || static_cast<std::size_t>(input) >= shapes_.size())
      fail_node(node, "input ", input, " is no earlier node");
    shapes.push_back(&shapes_[static_cast<std::size_t>(input)]);
  }
  if (node.op == Op::input && !shapes.empty()) fail_node(node, "expected no inputs");
  Shape shape = node.op == Op::input ? input_.shape : output_shape(node, shapes);
  const std::int64_t count = bounded_count(shape);
  if (count < 0) fail_node(node, "output ", shape_text(shape), " is out of range");
  activation_elements_ += count;
  if (activation_elements_ > kMaxActivationElements)
    fail_node(node, "more than ", kMaxActivationElements, " activations up to here");
  if (node.grid && (!is_positive(node.grid->scale) || moves_values(node.op)))
    fail_node(node, "grid of scale ", node.grid->scale, " is not valid here");
  grids_.push_back(moves_values(node.op) ? grids_[static_cast<std::size_t>(node.inputs[0])]
                                         : node.grid);
  orders_.push_back(next_order(node, shape));
  shapes_.push_back(std::move(shape));
}

Shape Inference::next_order(const Node& node, const Shape& shape) {
  if (is_image(shape)) return shape;
  if (node.inputs.empty()) return {};
  const auto at = [&](std::size_t i) { return static_cast<std::size_t>(node.inputs[i]); };
  const Shape& first = orders_[at(0)];
  const bool is_kept = is_elementwise(node.op) || changes_nothing(node.op);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Shape& order = orders_[at(i)];
    const bool reads_vector = !is_image(shapes_[at(i)]) && !order.empty();
    if (reads_vector && node.op != Op::linear && !(is_kept && order == first)) follows_ = false;
    if (is_kept && order != first) follows_ = false;
  }
  const bool is_permuted = !first.empty() && first[0] > 1 && first[1] * first[2] > 1;
  return is_kept && is_permuted ? first : Shape{};
}

bool Inference::follows_orders() const {
  return follows_ && (orders_.back().empty() || is_image(shapes_.back()));
}

ParameterCounts Inference::counts(const Node& node) const {
  switch (node.op) {
    case Op::conv2d:
      return {node.out, input_shape(node, 0)[0] / node.groups * node.kernel[0] * node.kernel[1], 0};
    case Op::linear:
      return {node.out, input_shape(node, 0).back(), 0};
    case Op::group_norm:
      return {0, 0, 2 * input_shape(node, 0)[0]};
    case Op::batch_norm:
      return {0, 0, 4 * input_shape(node, 0)[0]};
    case Op::layer_norm:
      return {0, 0, 2 * input_shape(node, 0).back()};
    default:
      return {};
  }
}

bool Inference::is_integer(const Node& node) const {
  return (node.op == Op::conv2d || node.op == Op::linear) && node.weights.bits != 32 &&
         grids_[static_cast<std::size_t>(node.inputs[0])].has_value();
}

void Inference::check_parameters(const Node& node) const {
  const ParameterCounts counts = this->counts(node);
  if (static_cast<std::int64_t>(node.norm.size()) != counts.norm || !all_finite(node.norm))
    fail_node(node, "expected ", counts.norm, " finite values, got ", node.norm.size());
  const Weights& weights = node.weights;
  if (counts.row == 0 && weights.bits != 32) fail_node(node, "expected no weights");
  if (counts.row > kMaxElements || counts.channels * counts.row > kMaxActivationElements)
    fail_node(node, counts.channels, " x ", counts.row, " weights are too many");
  if (weights.bits == 8 || weights.bits == 4) {
    check_codes(node, counts);
  } else if (weights.bits != 32 || !weights.codes.empty() || !weights.scales.empty() ||
             !all_finite(weights.values)) {
    fail_node(node, "expected ", counts.channels, " x ", counts.row, " finite weights");
  }
  const ProductShape product = counts.row == 0 ? ProductShape{} : product_shape(node, *this);
  try {
    check_layout(weights, product);
  } catch (const ModelError& error) {
    fail_node(node, error.what());
  }
  const bool has_codes = is_integer(node);
  const std::size_t biases = has_codes ? node.bias_codes.size() : node.bias.size();
  const std::size_t others = has_codes ? node.bias.size() : node.bias_codes.size();
  if (others != 0 || (biases != 0 && static_cast<std::int64_t>(biases) != counts.channels) ||
      !all_finite(node.bias)) {
    fail_node(node, "expected no bias or ", counts.channels, has_codes ? " codes" : " values");
  }
  if (has_codes) check_integers(node, product, *grids_[static_cast<std::size_t>(node.inputs[0])]);
}

Inference infer(const Program& program) {
  Inference inference(program.input);
  for (const Node& node : program.nodes) {
    inference.add(node);
    inference.check_parameters(node);
  }
  if (program.nodes.size() < 2) fail("expected at least one node after the input");
  return inference;
}

std::int64_t work_of(const Program& program) {
  const Inference inference = infer(program);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const Node& node = program.nodes[i];
    const bool is_pool = node.op == Op::max_pool2d || node.op == Op::avg_pool2d;
    const std::int64_t window = is_pool ? node.kernel[0] * node.kernel[1] : 1;
    sum += element_count(inference.shapes()[i]) * std::max(window, inference.counts(node).row);
  }
  return sum;
}

}  // namespace coppice::runtime
