#include <algorithm>    // for all_of
#include <array>        // for array
#include <bit>          // for bit_cast, endian
#include <limits>       // for numeric_limits
#include <string>       // for string
#include <type_traits>  // for is_arithmetic_v
#include <utility>      // for move

#include "deploy/runtime/body.h"
#include "deploy/runtime/coded_weights.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/cpk_fields.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/sha256.h"

namespace coppice::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "files are copied as memory has them");

using Bytes = std::vector<std::uint8_t>;

class ByteWriter {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    put_all(std::span(&value, 1));
  }
  // In planes: the first bytes of all values, then their second ones. Bytes of one kind stand
  // together, which deflate gains from: exponents are alike where fractions are not.
  template <typename T, std::size_t kExtent>
  void put_all(std::span<T, kExtent> values) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(values.data());
    for (std::size_t plane = 0; plane < sizeof(T); ++plane) {
      for (std::size_t i = 0; i < values.size(); ++i) bytes_.push_back(from[i * sizeof(T) + plane]);
    }
  }
  template <typename T>
  void put_all(const std::vector<T>& values) {
    put_all(std::span(values));
  }

  // A count or size in a field of type T.
  template <typename T, typename Size>
  void put_size(std::string_view what, Size value) {
    if (value > static_cast<Size>(std::numeric_limits<T>::max()) || value < Size{0})
      fail(what, ": ", value, " does not fit ", 8 * sizeof(T), " bits");
    put(static_cast<T>(value));
  }
  template <typename T>
  void put_text(std::string_view what, std::string_view value) {
    put_size<T>(what, value.size());
    put_all(std::span(value));
  }

  Bytes take() { return std::move(bytes_); }
  std::span<const std::uint8_t> bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

void write_input(ByteWriter& out, const InputSpec& input) {
  out.put(static_cast<std::uint8_t>(input.type));
  out.put_size<std::uint8_t>("input axes", input.shape.size());
  for (const std::int64_t axis : input.shape) out.put_size<std::uint32_t>("input axis", axis);
  out.put_size<std::uint32_t>("labels per sample", input.labels_per_sample);
  out.put_size<std::uint16_t>("label names", input.label_names.size());
  for (const std::string& name : input.label_names) out.put_text<std::uint8_t>("label name", name);
}

void write_window(ByteWriter& out, const Node& node) {
  for (const Pair& pair : {node.kernel, node.stride, node.padding}) {
    for (const std::int64_t value : pair) out.put_size<std::uint16_t>(node.name, value);
  }
}

void write_attributes(ByteWriter& out, const Node& node) {
  switch (node.op) {
    case Op::conv2d:
      out.put_size<std::uint32_t>(node.name, node.out);
      out.put_size<std::uint32_t>(node.name, node.groups);
      write_window(out, node);
      break;
    case Op::linear:
      out.put_size<std::uint32_t>(node.name, node.out);
      break;
    case Op::max_pool2d:
    case Op::avg_pool2d:
      write_window(out, node);
      break;
    case Op::group_norm:
      out.put_size<std::uint32_t>(node.name, node.group_size);
      out.put(node.epsilon);
      break;
    case Op::batch_norm:
    case Op::layer_norm:
      out.put(node.epsilon);
      break;
    case Op::leaky_relu:
      out.put(node.slope);
      break;
    case Op::normalize:
      out.put(node.mean);
      out.put(node.deviation);
      break;
    case Op::slice:
      out.put_size<std::uint32_t>(node.name, node.begin);
      out.put_size<std::uint32_t>(node.name, node.length);
      break;
    default:
      break;
  }
}

bool fits_short(const std::vector<std::int32_t>& codes) {
  return std::ranges::all_of(
      codes, [](std::int32_t code) { return code == static_cast<std::int16_t>(code); });
}

// As Coppice chooses them; scales of files from elsewhere may have all their bits.
bool are_short(const std::vector<float>& scales) {
  return std::ranges::all_of(scales, [](float scale) {
    return (std::bit_cast<std::uint32_t>(scale) & 0xFFFFU) == kLowerHalf;
  });
}

void write_scales(ByteWriter& out, const std::vector<float>& scales) {
  if (!are_short(scales)) return out.put_all(scales);
  std::vector<std::uint16_t> halves;
  halves.reserve(scales.size());
  for (const float scale : scales)
    halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(scale) >> 16U));
  out.put_all(halves);
}

// `stream`: of the weights, if they are coded. It stands behind the body, here is its length.
void write_weights(ByteWriter& out, const Weights& weights, const Bytes& stream) {
  if (!stream.empty()) {
    out.put_size<std::uint32_t>("coded weights", stream.size());
  } else {
    out.put_all(weights.block_counts);
    out.put_all(weights.blocks);
    const bool has_halves = weights.bits == 4 && weights.layout == Layout::kRows;
    out.put_all(has_halves ? halves_of(weights.codes) : weights.codes);
  }
  write_scales(out, weights.scales);
  out.put_all(weights.values);
}

void write_parameters(ByteWriter& out, const Node& node, const Bytes& stream) {
  write_weights(out, node.weights, stream);
  out.put_all(node.bias);
  if (fits_short(node.bias_codes)) {
    out.put_all(std::vector<std::int16_t>(node.bias_codes.begin(), node.bias_codes.end()));
  } else {
    out.put_all(node.bias_codes);
  }
  out.put_all(node.norm);
}

bool follows_node_before(const Node& node, std::size_t index) {
  return node.op == Op::input ||
         (node.inputs.size() == 1 && static_cast<std::size_t>(node.inputs[0]) + 1 == index);
}

std::uint8_t flags_of(const Node& node, std::size_t index) {
  const unsigned width = node.weights.bits == 8 ? 1 : node.weights.bits == 4 ? 2 : 0;
  unsigned flags = width << kWeightWidthShift;
  flags |= static_cast<unsigned>(node.weights.layout) << kLayoutShift;
  if (node.grid) flags |= kHasGrid;
  if (!follows_node_before(node, index)) flags |= kListsInputs;
  if (!node.bias.empty() || !node.bias_codes.empty()) flags |= kHasBias;
  if (!node.bias_codes.empty() && fits_short(node.bias_codes)) flags |= kShortBias;
  return static_cast<std::uint8_t>(flags);
}

void write_node(ByteWriter& out, const Node& node, std::size_t index, const Bytes& stream) {
  const std::uint8_t flags = flags_of(node, index);
  out.put(static_cast<std::uint8_t>(node.op));
  out.put(flags);
  out.put_text<std::uint8_t>("node name", node.name);
  if ((flags & kListsInputs) != 0) {
    out.put_size<std::uint8_t>(node.name, node.inputs.size());
    for (const std::int32_t input : node.inputs) out.put_size<std::uint16_t>(node.name, input);
  }
  if (node.grid) {
    out.put(node.grid->scale);
    out.put(node.grid->zero_point);
  }
  write_attributes(out, node);
  if (node.weights.bits != 32) {
    out.put(static_cast<std::uint8_t>((stream.empty() ? 0U : kIsCoded) |
                                      (are_short(node.weights.scales) ? kShortScales : 0U)));
  }
  write_parameters(out, node, stream);
}

// `streams`: of each node, empty where weights are not coded.
Bytes body_of(const Program& program, const std::vector<Bytes>& streams) {
  ByteWriter out;
  out.put_all(std::span(program.model_sha256));
  out.put_text<std::uint8_t>("program name", program.name);
  out.put_size<std::uint8_t>("properties", program.properties.size());
  for (const auto& [key, value] : program.properties) {
    out.put_text<std::uint8_t>("property key", key);
    out.put_text<std::uint16_t>("property value", value);
  }
  write_input(out, program.input);
  out.put_size<std::uint16_t>("nodes", program.nodes.size());
  for (std::size_t i = 0; i < program.nodes.size(); ++i)
    write_node(out, program.nodes[i], i, streams[i]);
  return out.take();
}

std::vector<Bytes> coded_weights(const Program& program) {
  const Inference inference = infer(program);
  std::vector<Bytes> streams;
  for (const Node& node : program.nodes) {
    streams.push_back(node.weights.bits == 32
                          ? Bytes{}
                          : coded_weights(node.weights, product_shape(node, inference)));
  }
  return streams;
}

Bytes file_of(const Program& program, const std::vector<Bytes>& streams) {
  Bytes plain = body_of(program, streams);
  const std::size_t length = plain.size();
  const EncodedBody body = encode_body(std::move(plain));
  std::size_t coded = 0;
  for (const Bytes& stream : streams) coded += stream.size();
  ByteWriter out;
  out.put_all(std::span(kCpkMagic));
  out.put(kCpkVersion);
  out.put(static_cast<std::uint8_t>(body.encoding));
  out.put_size<std::uint32_t>("body", length);
  out.put_size<std::uint32_t>("coded weights", coded);
  out.put_all(body.bytes);
  for (const Bytes& stream : streams) out.put_all(stream);
  const std::array<std::uint8_t, kDigestBytes> digest = sha256(out.bytes());
  out.put_all(std::span(digest));
  return out.take();
}

}  // namespace

std::int64_t parameter_bytes(const Node& node) {
  ByteWriter out;
  write_parameters(out, node, {});
  return static_cast<std::int64_t>(out.bytes().size());
}

std::int64_t body_bytes(const Program& program) {
  const std::vector<Bytes> plain(program.nodes.size());
  return static_cast<std::int64_t>(body_of(program, plain).size());
}

std::vector<std::uint8_t> write_cpk(const Program& program) {
  return file_of(program, coded_weights(program));
}

CpkBytes cpk_bytes(const Program& program) {
  const std::vector<Bytes> streams = coded_weights(program);
  ByteWriter out;
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    write_parameters(out, program.nodes[i], streams[i]);
    ends.push_back(out.bytes().size());
  }
  Bytes plain = out.take();
  const std::size_t length = plain.size();
  const std::size_t deflated = encode_body(std::move(plain)).bytes.size();
  CpkBytes bytes{.file = static_cast<std::int64_t>(file_of(program, streams).size()), .nodes = {}};
  std::size_t before = 0;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const std::size_t share =
        length == 0 ? 0 : ends[i] * deflated / length - before * deflated / length;
    bytes.nodes.push_back(static_cast<std::int64_t>(streams[i].size() + share));
    before = ends[i];
  }
  return bytes;
}

}  // namespace coppice::runtime
