#include <algorithm>  // for equal
#include <bit>        // for bit_cast, endian
#include <cstring>    // for memcpy
#include <numeric>    // for accumulate
#include <string>     // for string
#include <utility>    // for exchange, move

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

// Hands out bytes from the front; nothing is allocated before its bytes are known to be there.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes) : left_(bytes) {}

  std::span<const std::uint8_t> take(std::int64_t count) {
    if (count < 0 || static_cast<std::uint64_t>(count) > left_.size())
      fail("expected ", count, " more bytes, got ", left_.size());
    const auto taken = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(taken.size());
    return taken;
  }

  std::span<const std::uint8_t> take_rest() { return std::exchange(left_, {}); }

  template <typename T>
  T get() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  // From planes: the first bytes of all values, then their second ones. `count` is at most
  // kMaxActivationElements, so the product fits.
  template <typename T>
  std::vector<T> get_all(std::int64_t count) {
    const auto bytes = take(count * static_cast<std::int64_t>(sizeof(T)));
    std::vector<T> values(static_cast<std::size_t>(count));
    auto* to = reinterpret_cast<std::uint8_t*>(values.data());
    if (sizeof(T) == 1 && !bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    for (std::size_t plane = 0; sizeof(T) > 1 && plane < sizeof(T); ++plane) {
      for (std::size_t i = 0; i < values.size(); ++i)
        to[i * sizeof(T) + plane] = bytes[plane * values.size() + i];
    }
    return values;
  }

  template <typename Length>
  std::string get_text() {
    const auto bytes = take(get<Length>());
    return {bytes.begin(), bytes.end()};
  }

  std::size_t left() const { return left_.size(); }

 private:
  std::span<const std::uint8_t> left_;
};

InputSpec read_input(ByteReader& in) {
  InputSpec input;
  const auto type = in.get<std::uint8_t>();
  if (type > static_cast<std::uint8_t>(ElementType::kInt32))
    fail("input: element type ", int{type});
  input.type = ElementType{type};
  const auto rank = in.get<std::uint8_t>();
  for (int i = 0; i < rank; ++i) input.shape.push_back(in.get<std::uint32_t>());
  input.labels_per_sample = in.get<std::uint32_t>();
  const auto labels = in.get<std::uint16_t>();
  for (int i = 0; i < labels; ++i) input.label_names.push_back(in.get_text<std::uint8_t>());
  return input;
}

void read_window(ByteReader& in, Node& node) {
  for (Pair* pair : {&node.kernel, &node.stride, &node.padding}) {
    for (std::int64_t& value : *pair) value = in.get<std::uint16_t>();
  }
}

void read_attributes(ByteReader& in, Node& node) {
  switch (node.op) {
    case Op::conv2d:
      node.out = in.get<std::uint32_t>();
      node.groups = in.get<std::uint32_t>();
      read_window(in, node);
      break;
    case Op::linear:
      node.out = in.get<std::uint32_t>();
      break;
    case Op::max_pool2d:
    case Op::avg_pool2d:
      read_window(in, node);
      break;
    case Op::group_norm:
      node.group_size = in.get<std::uint32_t>();
      node.epsilon = in.get<float>();
      break;
    case Op::batch_norm:
    case Op::layer_norm:
      node.epsilon = in.get<float>();
      break;
    case Op::leaky_relu:
      node.slope = in.get<float>();
      break;
    case Op::normalize:
      node.mean = in.get<float>();
      node.deviation = in.get<float>();
      break;
    case Op::slice:
      node.begin = in.get<std::uint32_t>();
      node.length = in.get<std::uint32_t>();
      break;
    default:
      break;
  }
}

int bits_of(std::uint8_t flags) {
  constexpr int kBits[] = {32, 8, 4, 0};
  return kBits[(flags & kWeightWidthMask) >> kWeightWidthShift];
}

std::vector<std::int8_t> read_nibbles(ByteReader& in, std::int64_t count) {
  const auto bytes = in.take((count + 1) / 2);
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const int half = bytes[i / 2] >> (i % 2 * 4) & 0xF;
    codes[i] = static_cast<std::int8_t>(half < 8 ? half : half - 16);
  }
  if (count % 2 != 0 && bytes.back() >> 4U != 0) fail("bits after the last code");
  return codes;
}

// A node before its parameters, and how those are stored.
struct Head {
  Node node;
  std::uint8_t flags = 0;
  std::uint8_t storage = 0;
};

Head read_head(ByteReader& in, std::size_t index) {
  const auto code = in.get<std::uint8_t>();
  if (find_op(code) == nullptr) fail("node ", index, ": no operation has code ", int{code});
  Head head;
  Node& node = head.node;
  node.op = Op{code};
  const std::uint8_t flags = head.flags = in.get<std::uint8_t>();
  node.name = in.get_text<std::uint8_t>();
  if (bits_of(flags) == 0) fail("node ", index, ": unknown flags ", int{flags});
  node.weights.bits = bits_of(flags);
  node.weights.layout = Layout{static_cast<std::uint8_t>(flags >> kLayoutShift)};
  if ((flags & kListsInputs) != 0) {
    const auto count = in.get<std::uint8_t>();
    for (int i = 0; i < count; ++i) node.inputs.push_back(in.get<std::uint16_t>());
  } else if (index > 0) {
    node.inputs = {static_cast<std::int32_t>(index) - 1};
  }
  if ((flags & kHasGrid) != 0) {
    const auto scale = in.get<float>();
    node.grid = Grid{scale, in.get<std::uint8_t>()};
  }
  read_attributes(in, node);
  if (node.weights.bits != 32) head.storage = in.get<std::uint8_t>();
  if ((head.storage & ~(kIsCoded | kShortScales)) != 0)
    fail("node ", index, ": unknown storage ", int{head.storage});
  return head;
}

// Counts and sizes are those of the layout; what it says is checked later, with all parameters.
void read_plain(ByteReader& in, Weights& weights, const ProductShape& shape) {
  if (weights.layout == Layout::kBlocks) {
    weights.block_counts = in.get_all<std::uint16_t>((shape.out + kBlockSide - 1) / kBlockSide);
    const auto blocks =
        std::accumulate(weights.block_counts.begin(), weights.block_counts.end(), std::int64_t{0});
    weights.blocks = in.get_all<std::uint16_t>(blocks);
  }
  const std::int64_t elements = element_count(weights, shape);
  if (weights.bits == 32) {
    weights.values = in.get_all<float>(elements);
    return;
  }
  weights.codes = weights.bits == 4 && weights.layout == Layout::kRows
                      ? read_nibbles(in, elements)
                      : in.get_all<std::int8_t>(stored_bytes(weights, shape));
}

std::vector<float> read_short_scales(ByteReader& in, std::int64_t count) {
  std::vector<float> scales;
  for (const std::uint16_t upper : in.get_all<std::uint16_t>(count))
    scales.push_back(std::bit_cast<float>(std::uint32_t{upper} << 16U | kLowerHalf));
  return scales;
}

// The body, and the streams of coded weights behind it, in the order of the nodes.
struct Content {
  ByteReader body;
  ByteReader streams;
};

void read_weights(Content& in, const Head& head, const ProductShape& shape, Weights& weights) {
  if ((head.storage & kIsCoded) != 0) {
    decode_weights(in.streams.take(in.body.get<std::uint32_t>()), shape, weights);
  } else {
    read_plain(in.body, weights, shape);
  }
  if (weights.bits == 32) return;
  weights.scales = (head.storage & kShortScales) != 0 ? read_short_scales(in.body, shape.out)
                                                      : in.body.get_all<float>(shape.out);
}

void read_parameters(Content& content, Head& head, const Inference& inference) {
  Node& node = head.node;
  const std::uint8_t flags = head.flags;
  ByteReader& in = content.body;
  const ParameterCounts counts = inference.counts(node);
  if (counts.row > kMaxElements || counts.channels * counts.row > kMaxActivationElements)
    fail("node '", node.name, "': ", counts.channels, " x ", counts.row, " weights are too many");
  if (counts.row == 0 && node.weights.bits != 32)
    fail("node '", node.name, "': codes of no weights");
  const ProductShape shape = counts.row == 0 ? ProductShape{} : product_shape(node, inference);
  read_weights(content, head, shape, node.weights);
  const bool has_codes = inference.is_integer(node);
  if ((flags & kShortBias) != 0 && (!has_codes || (flags & kHasBias) == 0))
    fail("node '", node.name, "': short bias codes where there are none");
  if ((flags & kHasBias) != 0) {
    if (!has_codes) {
      node.bias = in.get_all<float>(counts.channels);
    } else if ((flags & kShortBias) != 0) {
      const auto codes = in.get_all<std::int16_t>(counts.channels);
      node.bias_codes.assign(codes.begin(), codes.end());
    } else {
      node.bias_codes = in.get_all<std::int32_t>(counts.channels);
    }
  }
  node.norm = in.get_all<float>(counts.norm);
}

Program read_body(Content content) {
  ByteReader& in = content.body;
  Program program;
  std::ranges::copy(in.take(kDigestBytes), program.model_sha256.begin());
  program.name = in.get_text<std::uint8_t>();
  const auto properties = in.get<std::uint8_t>();
  for (int i = 0; i < properties; ++i) {
    std::string key = in.get_text<std::uint8_t>();
    std::string value = in.get_text<std::uint16_t>();
    program.properties.emplace_back(std::move(key), std::move(value));
  }
  program.input = read_input(in);
  Inference inference(program.input);
  const auto nodes = in.get<std::uint16_t>();
  for (std::size_t i = 0; i < nodes; ++i) {
    Head head = read_head(in, i);
    inference.add(head.node);
    read_parameters(content, head, inference);
    inference.check_parameters(head.node);
    program.nodes.push_back(std::move(head.node));
  }
  if (nodes < 2) fail("expected at least one node after the input");
  if (in.left() != 0) fail(in.left(), " bytes after the last node");
  if (content.streams.left() != 0)
    fail(content.streams.left(), " bytes of coded weights that no node has");
  return program;
}

// The bytes between version and digest.
std::span<const std::uint8_t> intact_content(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kHead = sizeof(kCpkMagic) + sizeof(kCpkVersion);
  if (bytes.size() < kHead + kDigestBytes) fail("expected a .cpk, got ", bytes.size(), " bytes");
  if (!std::equal(std::begin(kCpkMagic), std::end(kCpkMagic), bytes.begin()))
    fail("expected a .cpk, got other bytes at its start");
  ByteReader version(bytes.subspan(sizeof(kCpkMagic)));
  if (const auto got = version.get<std::uint16_t>(); got != kCpkVersion)
    fail("expected version ", kCpkVersion, ", got ", got);
  const auto content = bytes.first(bytes.size() - kDigestBytes);
  if (!std::ranges::equal(sha256(content), bytes.last(kDigestBytes)))
    fail("damaged: the SHA-256 of its content is not the stored one");
  return content.subspan(kHead);
}

}  // namespace

Program read_cpk(std::span<const std::uint8_t> bytes, std::string_view what) {
  try {
    ByteReader in(intact_content(bytes));
    const auto encoding = in.get<std::uint8_t>();
    const auto length = in.get<std::uint32_t>();
    const auto coded = in.get<std::uint32_t>();
    if (coded > in.left()) fail("expected ", coded, " bytes of coded weights, got ", in.left());
    const auto encoded = in.take(static_cast<std::int64_t>(in.left() - coded));
    const auto body = decode_body(encoding, length, encoded);
    return read_body({ByteReader(body), ByteReader(in.take_rest())});
  } catch (const ModelError& error) {
    fail(what, ": ", error.what());
  }
}

}  // namespace coppice::runtime
