// Operators on images [batch, channels, height, width].

#include <algorithm>  // for equal, max, sort

#include "core/op_rules.h"
#include "deploy/onnx/import/call.h"

namespace coppice::onnx_import {
namespace {

struct Image {
  Output x;
  Pair border{0, 0};  // of zeros, from a Pad before
};

Image image_of(Call& call) {
  if (const auto* padded = call.get<Padded>(0)) return {padded->x, padded->padding};
  return {call.plain(0, 3), {0, 0}};
}

// The borders before and behind height and width, as `pads` or auto_pad says.
Pair padding_of(Call& call, const Shape& image, const Pair& kernel, const Pair& stride) {
  const std::string_view automatic = call.word("auto_pad", "NOTSET");
  const auto pads = call.list("pads").value_or(std::vector<std::int64_t>(4));
  if (automatic == "VALID") return {0, 0};
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    Pair out{};
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t steps = (image[i + 1] + stride[i] - 1) / stride[i];
      const std::int64_t sum =
          std::max<std::int64_t>((steps - 1) * stride[i] + kernel[i] - image[i + 1], 0);
      if (sum % 2 != 0) {
        call.fail("attribute auto_pad: expected equal borders before and behind an axis; ",
                  automatic, " makes ", sum, " together");
      }
      out[i] = sum / 2;
    }
    return out;
  }
  if (automatic != "NOTSET")
    call.fail("attribute auto_pad: expected NOTSET, VALID or SAME_, got ", automatic.substr(0, 32));
  const bool is_sound = pads.size() == 4 && pads[0] == pads[2] && pads[1] == pads[3] &&
                        pads[0] >= 0 && pads[1] >= 0 && pads[0] <= kMaxAxis && pads[1] <= kMaxAxis;
  if (!is_sound) {
    call.fail("attribute pads: expected equal borders before and behind height and width, got ",
              join(pads, " "));
  }
  return {pads[0], pads[1]};
}

// Kernel, stride and padding; a stride that is the operation's default is left open.
Attributes window_of(Call& call, const Image& image, const Pair& kernel, const Pair& usual_stride) {
  const Pair dilations = call.pair("dilations", {1, 1});
  if (dilations != Pair{1, 1})
    call.fail("attribute dilations: expected 1 1, got ", dilations[0], ' ', dilations[1]);
  const Pair stride = call.pair("strides", {1, 1});
  if (stride[0] < 1 || stride[1] < 1 || kernel[0] < 1 || kernel[1] < 1) {
    call.fail("expected kernel and strides of at least 1, got ", kernel[0], ' ', kernel[1], " and ",
              stride[0], ' ', stride[1]);
  }
  Pair padding = padding_of(call, image.x.view, kernel, stride);
  for (std::size_t i = 0; i < 2; ++i) padding[i] += image.border[i];
  return {
      .kernel = kernel, .stride = stride == usual_stride ? Pair{0, 0} : stride, .padding = padding};
}

Pair kernel_of(Call& call) {
  const Pair kernel = call.pair("kernel_shape", {0, 0});
  if (kernel == Pair{0, 0}) call.fail("attribute kernel_shape: expected two numbers, got none");
  return kernel;
}

// Windows that stick out behind the image are the same as none where they fit anyway.
void check_ceil_mode(Call& call, const Image& image, const Attributes& window, const Pair& stride) {
  const bool rounds_up = call.integer("ceil_mode", 0) != 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t left = image.x.view[i + 1] + 2 * window.padding[i] - window.kernel[i];
    if (rounds_up && left % stride[i] != 0) {
      call.fail("attribute ceil_mode: expected 0 where windows do not end with the image; ", left,
                " is no multiple of stride ", stride[i]);
    }
  }
}

// A product over a {C} that ONNX sees as {C, 1, 1}.
void add_pointwise(Call& call, const Output& x, std::vector<ConstantPtr> parameters) {
  const Shape& dims = parameters.front()->dims;
  auto matrix = std::make_shared<Constant>(*parameters.front());
  matrix->dims = {dims[0], dims[1]};
  parameters.front() = matrix;
  const Attributes attributes{.out = dims[0], .bias = parameters.size() > 1};
  Output out = call.add(OpKind::linear, {x}, attributes, std::move(parameters));
  out.view.insert(out.view.end(), {1, 1});
  call.set(out);
}

bool is_vector_as_image(const Call& call, const Output& x) {
  return x.view.size() == 3 && call.network().layer(x.layer).shape.size() == 1;
}

// The mean of each channel, in the shape that ONNX gives it.
void add_mean(Call& call, const Output& x, bool keeps_axes) {
  Output out = call.add(OpKind::global_avg_pool, {x});
  if (keeps_axes) out.view.insert(out.view.end(), {1, 1});
  call.set(out);
}

}  // namespace

void read_Conv(Call& call) {
  const ConstantPtr weight = call.constant(1);
  const Shape& dims = weight->dims;
  if (dims.size() != 4) {
    call.fail("weight: expected 4 axes, out x in x height x width, got ", shape_text(dims));
  }
  const Pair kernel{dims[2], dims[3]};
  if (call.pair("kernel_shape", kernel) != kernel)
    call.fail("attribute kernel_shape: expected the weight's ", kernel[0], ' ', kernel[1]);
  const std::int64_t groups = call.integer("group", 1);
  std::vector<ConstantPtr> parameters{weight};
  if (const ConstantPtr bias = call.constant_or_null(2)) parameters.push_back(bias);
  const bool is_image = call.get<Padded>(0) != nullptr || !is_vector_as_image(call, call.output(0));
  const Image image = is_image ? image_of(call) : Image{call.output(0), {0, 0}};
  Attributes window = window_of(call, image, kernel, {1, 1});
  if (groups < 1 || groups > kMaxAxis || dims[1] * groups != image.x.view[0]) {
    call.fail("expected a weight for ", image.x.view[0], " input channels, got ", shape_text(dims),
              " and group ", groups);
  }
  if (!is_image) {
    if (kernel != Pair{1, 1} || groups != 1 || window.padding != Pair{0, 0})
      call.fail("expected a kernel of 1 x 1 for one pixel, got ", kernel[0], " x ", kernel[1]);
    return add_pointwise(call, image.x, std::move(parameters));
  }
  window.out = dims[0];
  window.groups = groups;
  window.bias = parameters.size() > 1;
  call.set(call.add(OpKind::conv2d, {image.x}, window, std::move(parameters)));
}

void read_MaxPool(Call& call) {
  call.expect("storage_order", 0);
  if (call.get<Padded>(0) != nullptr) call.fail("expected an image, got one padded with zeros");
  const Image image = image_of(call);
  const Pair kernel = kernel_of(call);
  const Attributes window = window_of(call, image, kernel, kernel);
  check_ceil_mode(call, image, window, call.pair("strides", {1, 1}));
  call.set(call.add(OpKind::max_pool2d, {image.x}, window));
}

void read_AveragePool(Call& call) {
  const Image image = image_of(call);
  const Pair kernel = kernel_of(call);
  const Attributes window = window_of(call, image, kernel, kernel);
  check_ceil_mode(call, image, window, call.pair("strides", {1, 1}));
  const bool counts_border = call.integer("count_include_pad", 0) != 0;
  if (!counts_border && window.padding != image.border)
    call.fail("attribute count_include_pad: expected 1 where there is padding, got 0");
  call.set(call.add(OpKind::avg_pool2d, {image.x}, window));
}

void read_GlobalAveragePool(Call& call) { add_mean(call, call.plain(0, 3), true); }

void read_ReduceMean(Call& call) {
  std::vector<std::int64_t> axes;
  if (call.opset() >= 18) {
    call.expect("noop_with_empty_axes", 0);
    if (call.has(1)) axes = call.integers(1).values;
  } else {
    axes = call.list("axes").value_or(axes);
  }
  const bool keeps_axes = call.integer("keepdims", 1) != 0;
  if (const auto* norm = call.get<LayerNorm>(0)) {
    const bool is_last = axes == std::vector<std::int64_t>{-1} ||
                         axes == std::vector{static_cast<std::int64_t>(norm->x.view.size())};
    if (norm->stage != LayerNorm::Stage::kSquared || !is_last || !keeps_axes)
      call.fail("expected the mean of squares along the features, kept as an axis");
    LayerNorm next = *norm;
    next.stage = LayerNorm::Stage::kVariance;
    return call.set(next);
  }
  const Output x = call.plain(0);
  const auto rank = static_cast<std::int64_t>(x.view.size()) + 1;
  for (std::int64_t& axis : axes) {
    if (axis < 0) axis += rank;
  }
  std::ranges::sort(axes);
  if (rank == 4 && axes == std::vector<std::int64_t>{2, 3}) return add_mean(call, x, keeps_axes);
  if (rank < 4 && axes == std::vector{rank - 1} && keeps_axes)
    return call.set(LayerNorm{.x = x, .weight = nullptr});
  call.fail("expected the mean over an image's height and width, or over features, got axes ",
            axes.empty() ? "none" : join(axes, " "));
}

// Kept for the convolution or the average pool behind it.
void read_Pad(Call& call) {
  const std::string_view mode = call.word("mode", "constant");
  if (mode != "constant") call.fail("attribute mode: expected constant, got ", mode.substr(0, 32));
  std::vector<std::int64_t> pads;
  if (call.opset() < 11) {
    pads = call.list("pads").value_or(pads);
    if (call.real("value", 0.0) != 0.0) call.fail("attribute value: expected 0");
  } else {
    pads = call.integers(1).values;
    if (call.has(2) && call.scalar(2) != 0.0) call.fail("expected a border of zeros");
    if (call.has(3)) call.fail("expected no axes");
  }
  const Output x = call.plain(0, 3);
  const bool is_sound = pads.size() == 8 && pads[0] == 0 && pads[1] == 0 &&
                        std::equal(pads.begin(), pads.begin() + 4, pads.begin() + 4) &&
                        pads[2] >= 0 && pads[3] >= 0 && pads[2] <= kMaxAxis && pads[3] <= kMaxAxis;
  if (!is_sound) {
    call.fail("expected equal borders before and behind height and width, got ",
              pads.empty() ? "none" : join(pads, " "));
  }
  call.set(Padded{x, {pads[2], pads[3]}});
}

}  // namespace coppice::onnx_import
