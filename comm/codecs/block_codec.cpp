#include "comm/codecs/block_codec.h"

#include <algorithm>  // for min, copy_n
#include <array>      // for array
#include <cfloat>     // for FLT_MAX, FLT_TRUE_MIN
#include <cmath>      // for nextafter

#include "comm/codecs/checks.h"
#include "kernels/codes.h"

namespace coppice {
namespace {

constexpr std::size_t kBlock = 256;

template <typename T>
std::span<T> block_at(std::span<T> values, std::size_t begin) {
  return values.subspan(begin, std::min(kBlock, values.size() - begin));
}

// Codes are packed eight at a time.
std::int64_t rounded_to_eight(std::size_t n) { return static_cast<std::int64_t>((n + 7) / 8 * 8); }

}  // namespace

BlockCodec::BlockCodec(std::string_view name, FrameType type, int bits)
    : name_(name), type_(type), bits_(bits), max_code_((1 << (bits - 1)) - 1) {}

std::size_t BlockCodec::bytes_of_block(std::size_t values) const {
  return (values * static_cast<std::size_t>(bits_) + 7) / 8;
}

float BlockCodec::scale_of(std::span<const float> block) const {
  const float magnitude = kernels::largest_magnitude(block.data(), std::ssize(block));
  auto scale = static_cast<float>(double{magnitude} / max_code_);
  if (double{scale} * max_code_ < double{magnitude}) scale = std::nextafter(scale, FLT_MAX);
  return scale;
}

void BlockCodec::encode(std::span<const float> values, const RandomKey& key,
                        std::vector<std::uint8_t>& out) const {
  expect_finite(name_, values);
  begin_frame(out);
  WireWriter writer(out);
  writer.u64(values.size());
  std::size_t code_bytes = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = block_at(values, begin);
    writer.f32(scale_of(block));
    code_bytes += bytes_of_block(block.size());
  }
  std::size_t at = out.size();
  out.resize(at + code_bytes);
  RandomStream stream(key);
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = block_at(values, begin);
    const std::size_t bytes = bytes_of_block(block.size());
    encode_block(block, scale_of(block), stream, std::span(out).subspan(at, bytes));
    at += bytes;
  }
  finish_frame(type_, out);
}

void BlockCodec::encode_block(std::span<const float> values, float scale, RandomStream& stream,
                              std::span<std::uint8_t> out) const {
  std::array<std::uint32_t, kBlock> words;
  std::array<std::int8_t, kBlock> codes{};
  std::array<std::uint8_t, kBlock> fields;
  std::array<std::uint8_t, kBlock> packed;
  stream.fill(std::span(words).first(values.size()));
  kernels::round_to_codes(values.data(), words.data(), scale, std::ssize(values), codes.data());
  const auto mask = static_cast<unsigned>((1 << bits_) - 1);
  for (std::size_t i = 0; i < kBlock; ++i)
    fields[i] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(codes[i]) & mask);
  kernels::pack_codes(fields.data(), bits_, rounded_to_eight(values.size()), packed.data());
  std::copy_n(packed.begin(), out.size(), out.begin());
}

void BlockCodec::decode(std::span<const std::uint8_t> frame, std::span<float> out) const {
  WireReader reader(read_frame(type_, frame), text("codec ", name_));
  expect_count(name_, out.size(), reader.u64());
  WireReader scales(reader.raw((out.size() + kBlock - 1) / kBlock * sizeof(float)),
                    text("codec ", name_, " scales"));
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const auto block = block_at(out, begin);
    const float scale = expect_scale(name_, scales.f32(), begin / kBlock);
    decode_block(reader.raw(bytes_of_block(block.size())), scale, block);
  }
  reader.expect_end();
}

// A block after the other while it is in the first-level cache; codes are neither packed nor
// checked.
std::size_t BlockCodec::round_trip(std::span<const float> values, const RandomKey& key,
                                   std::span<float> out,
                                   std::vector<std::uint8_t>& /*scratch*/) const {
  expect_finite(name_, values);
  expect_count(name_, out.size(), values.size());
  std::array<std::uint32_t, kBlock> words;
  std::array<std::int8_t, kBlock> codes;
  std::size_t bytes = kFrameHeaderBytes + sizeof(std::uint64_t);
  RandomStream stream(key);
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = block_at(values, begin);
    const float scale = scale_of(block);
    stream.fill(std::span(words).first(block.size()));
    kernels::round_to_codes(block.data(), words.data(), scale, std::ssize(block), codes.data());
    kernels::codes_to_values(codes.data(), scale, std::ssize(block), &out[begin]);
    bytes += sizeof scale + bytes_of_block(block.size());
  }
  return bytes;
}

void BlockCodec::decode_block(std::span<const std::uint8_t> packed, float scale,
                              std::span<float> out) const {
  std::array<std::uint8_t, kBlock> bytes{};
  std::array<std::uint8_t, kBlock> fields{};
  std::array<std::int8_t, kBlock> codes;
  std::ranges::copy(packed, bytes.begin());
  kernels::unpack_codes(bytes.data(), bits_, rounded_to_eight(out.size()), fields.data());
  const int sign = 1 << (bits_ - 1);
  int lowest = 0;
  int filling = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<std::int8_t>((fields[i] ^ sign) - sign);
    lowest = std::min<int>(lowest, codes[i]);
  }
  for (std::size_t i = out.size(); i < kBlock; ++i) filling |= fields[i];
  if (lowest < -max_code_ || filling != 0) {
    throw WireError(text("codec ", name_, ": expected codes from ", -max_code_, " to ", max_code_,
                         " and zeros after the last, got ", filling != 0 ? filling : lowest));
  }
  kernels::codes_to_values(codes.data(), scale, std::ssize(out), out.data());
}

// One step of the scale, and one rounding of the product to float.
double BlockCodec::error_bound(double max_magnitude) const {
  return max_magnitude / max_code_ * (1.0 + 0x1p-22) + max_magnitude * 0x1p-23 +
         2.0 * double{FLT_TRUE_MIN};
}

}  // namespace coppice
