#include "comm/codecs/level_codec.h"

#include <algorithm>  // for clamp, max, min
#include <array>      // for array
#include <cfloat>     // for FLT_MAX, FLT_TRUE_MIN
#include <cmath>      // for floor, nextafter, sqrt
#include <cstdlib>    // for abs

#include "comm/codecs/checks.h"
#include "kernels/code_stream.h"
#include "kernels/codes.h"

namespace coppice {
namespace {

constexpr int kLargestSmall = 127;
constexpr std::size_t kPiece = 1024;    // values whose random words are drawn at once
constexpr std::int64_t kStepBack = 64;  // of the levels, where a frame is too long by chance
constexpr std::size_t kHeaderBytes =
    sizeof(std::uint64_t) + sizeof(std::uint32_t) + sizeof(float) + sizeof(std::uint32_t);

// Codes have no rows: no context from above.
std::int64_t one_row(std::size_t count) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

// To values; `excess` has as many as there are codes at an end.
void fill(float scale, std::span<const std::int8_t> small, std::span<const std::uint16_t> excess,
          std::span<float> out) {
  kernels::codes_to_values(small.data(), scale, std::ssize(small), out.data());
  std::size_t at = 0;
  for (std::size_t i = 0; i < small.size() && at < excess.size(); ++i) {
    if (std::abs(int{small[i]}) != kLargestSmall) continue;
    const double magnitude = double{scale} * (kLargestSmall + excess[at++]);
    const double value = small[i] < 0 ? -magnitude : magnitude;
    out[i] = static_cast<float>(std::clamp(value, -double{FLT_MAX}, double{FLT_MAX}));
  }
}

// The smallest float that is at least the length / levels, so that no code exceeds them.
float scale_for(std::int64_t levels, std::span<const float> values) {
  const double length = std::sqrt(kernels::dot(values.data(), values.data(), std::ssize(values)));
  if (length == 0.0) return 0.0F;
  const auto count = static_cast<double>(levels);
  auto scale = static_cast<float>(std::min(length / count, double{FLT_MAX}));
  if (double{scale} * count < length && scale < FLT_MAX) scale = std::nextafter(scale, FLT_MAX);
  return std::max(scale, FLT_TRUE_MIN);
}

}  // namespace

LevelCodec::LevelCodec(std::string_view name, FrameType type, const CodecOptions& options)
    : name_(name),
      type_(type),
      levels_(options.levels),
      max_bytes_(static_cast<std::size_t>(options.max_bytes)) {}

LevelCodec::Codes LevelCodec::codes_at(std::int64_t levels, std::span<const float> values,
                                       RandomStream stream) {
  Codes codes{.levels = levels,
              .scale = scale_for(levels, values),
              .small = std::vector<std::int8_t>(values.size())};
  if (codes.scale == 0.0F) return codes;
  std::array<std::uint32_t, kPiece> words;
  for (std::size_t begin = 0; begin < values.size(); begin += kPiece) {
    const std::size_t count = std::min(kPiece, values.size() - begin);
    stream.fill(std::span(words).first(count));
    for (std::size_t i = 0; i < count; ++i) {
      const double steps = double{values[begin + i]} / double{codes.scale};
      const auto code = static_cast<int>(std::floor(steps + words[i] * 0x1p-32));
      codes.small[begin + i] =
          static_cast<std::int8_t>(std::clamp(code, -kLargestSmall, kLargestSmall));
      if (std::abs(code) >= kLargestSmall)
        codes.excess.push_back(static_cast<std::uint16_t>(std::abs(code) - kLargestSmall));
    }
  }
  return codes;
}

// The stream is only counted, which takes half the time of writing it.
std::size_t LevelCodec::frame_bytes(const Codes& codes) {
  return kFrameHeaderBytes + kHeaderBytes +
         kernels::coded_bytes(codes.small, one_row(codes.small.size())) +
         codes.excess.size() * sizeof(std::uint16_t);
}

LevelCodec::Codes LevelCodec::quantize(std::span<const float> values, const RandomKey& key) const {
  expect_finite(name_, values);
  if (values.size() > UINT32_MAX)
    throw WireError(
        text("codec ", name_, ": expected at most 2^32 - 1 values, got ", values.size()));
  const RandomStream stream(key);
  if (max_bytes_ == 0) return codes_at(levels_, values, stream);
  RandomStream other = stream;
  other.seek(values.size());
  for (std::int64_t levels = levels_within(values, other);; levels -= 1 + levels / kStepBack) {
    Codes codes = codes_at(levels, values, stream);
    if (frame_bytes(codes) <= max_bytes_) return codes;
    if (levels == 1) {
      throw ConfigError(text("codec ", name_, ": expected at least ", frame_bytes(codes),
                             " bytes for ", values.size(), " values at one level, got ",
                             max_bytes_));
    }
  }
}

// The most whose frame fits, or 1.
std::int64_t LevelCodec::levels_within(std::span<const float> values,
                                       const RandomStream& stream) const {
  std::int64_t levels = 1;
  std::int64_t too_many = kMostLevels + 1;
  while (levels + 1 < too_many) {
    const std::int64_t middle = levels + (too_many - levels) / 2;
    (frame_bytes(codes_at(middle, values, stream)) > max_bytes_ ? too_many : levels) = middle;
  }
  return levels;
}

void LevelCodec::encode(std::span<const float> values, const RandomKey& key,
                        std::vector<std::uint8_t>& out) const {
  const Codes codes = quantize(values, key);
  std::vector<std::uint8_t> stream;
  kernels::encode_codes(codes.small, one_row(values.size()), stream);
  begin_frame(out);
  WireWriter writer(out);
  writer.u64(values.size());
  writer.u32(static_cast<std::uint32_t>(codes.levels));
  writer.f32(codes.scale);
  writer.u32(static_cast<std::uint32_t>(stream.size()));
  out.insert(out.end(), stream.begin(), stream.end());
  for (const std::uint16_t excess : codes.excess) writer.u16(excess);
  finish_frame(type_, out);
}

void LevelCodec::decode(std::span<const std::uint8_t> frame, std::span<float> out) const {
  WireReader reader(read_frame(type_, frame), text("codec ", name_));
  expect_count(name_, out.size(), reader.u64());
  const std::int64_t levels = reader.u32();
  if (max_bytes_ == 0 ? levels != levels_ : levels < 1 || levels > kMostLevels)
    throw WireError(text("codec ", name_, ": expected ", max_bytes_ == 0 ? levels_ : kMostLevels,
                         max_bytes_ == 0 ? "" : " or fewer", " levels, got ", levels));
  if (max_bytes_ > 0 && frame.size() > max_bytes_)
    throw WireError(
        text("codec ", name_, ": expected at most ", max_bytes_, " bytes, got ", frame.size()));
  const float scale = expect_scale(name_, reader.f32(), 0);
  const auto stream = reader.raw(reader.u32());
  const int largest = static_cast<int>(std::min<std::int64_t>(levels, kLargestSmall));
  std::vector<std::int8_t> small(out.size());
  if (!kernels::decode_codes(stream, one_row(out.size()), largest, small)) {
    throw WireError(text("codec ", name_, ": expected a stream of ", out.size(),
                         " codes of at most ", largest, ", got other bytes"));
  }
  std::vector<std::uint16_t> excess;
  for (const std::int8_t code : small) {
    if (std::abs(int{code}) != kLargestSmall) continue;
    excess.push_back(reader.u16());
    if (kLargestSmall + excess.back() > levels) {
      throw WireError(text("codec ", name_, ": expected codes of at most ", levels, ", got ",
                           kLargestSmall + excess.back()));
    }
  }
  reader.expect_end();
  fill(scale, small, excess, out);
}

std::size_t LevelCodec::round_trip(std::span<const float> values, const RandomKey& key,
                                   std::span<float> out,
                                   std::vector<std::uint8_t>& /*scratch*/) const {
  expect_count(name_, out.size(), values.size());
  const Codes codes = quantize(values, key);
  fill(codes.scale, codes.small, codes.excess, out);
  return frame_bytes(codes);
}

// A step of the scale, which is that of as many values as a frame may have, all of them as large.
double LevelCodec::norm_growth(std::size_t count) const {
  const auto values = static_cast<double>(count);
  const double levels = max_bytes_ > 0 ? 1.0 : static_cast<double>(levels_);
  return 1.25 * std::sqrt(1.0 + std::min(values / (levels * levels), std::sqrt(values) / levels));
}

double LevelCodec::error_bound(double max_magnitude) const {
  const auto levels = static_cast<double>(max_bytes_ == 0 ? levels_ : 1);
  return 0x1p16 * max_magnitude / levels * (1.0 + 0x1p-22) + max_magnitude * 0x1p-22 +
         2.0 * double{FLT_TRUE_MIN};
}

}  // namespace coppice
