// 8-bit codes in blocks of 256 values that share a scale; the last block may be shorter.
// Payload: count u64 | scale f32 a block | code i8 a value. Value = code * scale, codes in [-127,
// 127].
//
// x / scale is rounded up with the probability of its fraction (stochastic rounding, as in Alistarh
// et al. 2017, QSGD), so the mean over keys is x. The scale is the smallest float that is at least
// max|x| / 127: were it any smaller, the largest value of a block would have to be clamped and its
// mean would be off. Word i of the key's stream rounds value i.

#include <algorithm>  // for max, min, clamp
#include <cfloat>     // for FLT_MAX, FLT_TRUE_MIN
#include <cmath>      // for abs, floor, nextafter

#include "comm/codec.h"
#include "comm/codecs/checks.h"
#include "comm/wire.h"

namespace coppice {
namespace {

constexpr std::size_t kBlock = 256;
constexpr int kMaxCode = 127;

// Products of a 24-bit scale and a 7-bit code are exact in double, so both directions agree to the
// bit.
float scale_of(std::span<const float> block) {
  float magnitude = 0.0F;
  for (const float value : block) magnitude = std::max(magnitude, std::abs(value));
  auto scale = static_cast<float>(double{magnitude} / kMaxCode);
  if (double{scale} * kMaxCode < double{magnitude}) scale = std::nextafter(scale, FLT_MAX);
  return scale;
}

// For a finite scale; the largest finite float is the only value that could round past itself.
float value_of(int code, float scale) {
  return static_cast<float>(std::clamp(code * double{scale}, -double{FLT_MAX}, double{FLT_MAX}));
}

class Int8 final : public Codec {
 public:
  std::string_view name() const override { return "int8"; }
  bool is_unbiased() const override { return true; }

  void encode(std::span<const float> values, const RandomKey& key,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    begin_frame(out);
    WireWriter writer(out);
    writer.u64(values.size());
    for (std::size_t begin = 0; begin < values.size(); begin += kBlock)
      writer.f32(scale_of(block(values, begin)));
    const std::size_t codes = out.size();
    out.resize(codes + values.size());
    RandomStream stream(key);
    for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
      encode_block(block(values, begin), stream, std::span(out).subspan(codes + begin));
    }
    finish_frame(FrameType::kInt8Update, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kInt8Update, frame), "codec int8");
    expect_count(name(), out.size(), reader.u64());
    WireReader scales(reader.raw((out.size() + kBlock - 1) / kBlock * sizeof(float)),
                      "codec int8 scales");
    const auto codes = reader.raw(out.size());
    reader.expect_end();
    for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
      decode_block(codes.subspan(begin), expect_scale(name(), scales.f32(), begin / kBlock),
                   block(out, begin));
    }
  }

  // One step of the scale, and one rounding of the product to float.
  double error_bound(double max_magnitude) const override {
    return max_magnitude / kMaxCode * (1.0 + 0x1p-22) + max_magnitude * 0x1p-23 +
           2.0 * double{FLT_TRUE_MIN};
  }

 private:
  template <typename T>
  static std::span<T> block(std::span<T> values, std::size_t begin) {
    return values.subspan(begin, std::min(kBlock, values.size() - begin));
  }

  static void encode_block(std::span<const float> values, RandomStream& stream,
                           std::span<std::uint8_t> codes) {
    const double scale = double{scale_of(values)};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double uniform = stream.next_u32() * 0x1p-32;
      const double steps = scale == 0.0 ? 0.0 : std::floor(double{values[i]} / scale + uniform);
      codes[i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(steps));
    }
  }

  static void decode_block(std::span<const std::uint8_t> codes, float scale, std::span<float> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto code = static_cast<std::int8_t>(codes[i]);
      if (code < -kMaxCode)
        throw WireError(text("codec int8: expected codes from -127 to 127, got ", int{code}));
      out[i] = value_of(code, scale);
    }
  }
};

}  // namespace

std::unique_ptr<Codec> make_int8_codec(const CodecOptions& /*options*/) {
  return std::make_unique<Int8>();
}

}  // namespace coppice
