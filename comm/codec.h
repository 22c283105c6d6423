#pragma once
// Turns one client's update into the bytes that travel and back, deterministically: encode() is a
// function of the values and a random key, decode() of the bytes alone, so that a simulated
// client's update is exactly what a real one would have delivered. Stateless; any thread may call a
// codec.

#include <cstdint>      // for uint8_t
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/codec_options.h"
#include "core/random.h"

namespace coppice {

class Codec {
 public:
  virtual ~Codec() = default;

  virtual std::string_view name() const = 0;

  // Whether the mean of what is decoded, over random keys, is the value itself.
  virtual bool is_unbiased() const = 0;

  // Replaces `out` by a whole frame (comm/wire.h) that holds `values`. Values must be finite.
  virtual void encode(std::span<const float> values, const RandomKey& key,
                      std::vector<std::uint8_t>& out) const = 0;

  // Fills `out` from a frame. Throws WireError, naming what was expected and got, for bytes that
  // encode() did not make: wrong magic, type, length, count or checksum, truncation, trailing
  // bytes. Reads nothing out of bounds.
  virtual void decode(std::span<const std::uint8_t> frame, std::span<float> out) const = 0;

  // Fills `out`, which may be `values`, with what decode() makes of encode()'s frame, and returns
  // the frame's bytes. Codecs that can do so skip the frame; `scratch` is for those that cannot.
  virtual std::size_t round_trip(std::span<const float> values, const RandomKey& key,
                                 std::span<float> out, std::vector<std::uint8_t>& scratch) const;

  // The bytes of a frame of `count` finite values, if decode() gives back every one of them bit for
  // bit; then nobody needs to make the frame to know what arrives.
  virtual std::optional<std::size_t> lossless_frame_bytes(std::size_t /*count*/) const {
    return std::nullopt;
  }

  // How many times longer than `count` values were what decode() makes of them may be (L2), by
  // chance too.
  virtual double norm_growth(std::size_t count) const {
    return lossless_frame_bytes(count) ? 1.0 : 2.0;
  }

  // Largest |decoded - value| that encode() may cause for values of magnitude at most
  // `max_magnitude`.
  virtual double error_bound(double max_magnitude) const = 0;
};

struct CodecInfo {
  std::string_view name;
  std::string_view sentence;
};
std::span<const CodecInfo> known_codecs();

// Both ends must use the same options. Throws ConfigError for an unknown name, naming the nearest
// known ones, and for options that are out of range, whichever codec is meant.
std::unique_ptr<Codec> make_codec(std::string_view name, const CodecOptions& options = {});

}  // namespace coppice
