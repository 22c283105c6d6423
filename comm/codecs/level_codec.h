#pragma once
// What qsgd and dadaquant share (Alistarh et al. 2017, QSGD; Hoenig et al. 2022, DAdaQuant): a
// value is a multiple of the update's length divided by the number of levels, rounded up with the
// probability of its fraction, so that the mean over keys is the value. `levels` counts those above
// zero: with one of them a value becomes -length, 0 or length. Codes are as small as the values are
// beside the length, most of them 0, and go through an adaptive range coder (kernels/code_stream.h)
// in place of the papers' Elias code of runs.
//
// With a limit of bytes a frame has about the most levels that fit, and says how many. They are
// found by halving with other random words than those that round, for a choice that looks at these
// would bend the mean; if the frame is too long all the same, they go down. One step for all values
// and codes of as few bits as their size allows is what reverse water-filling asks for, value by
// value.
//
// Payload: count u64 | levels u32 | scale f32 | bytes of the stream u32 | the stream | for each
// code of magnitude 127 in it, in order, by how much it is larger, u16. Value = code * scale. Word
// i of the key's stream rounds value i.

#include <cstdint>  // for int8_t
#include <vector>   // for vector

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/random.h"

namespace coppice {

class LevelCodec final : public Codec {
 public:
  // `name` outlives the codec. 1 <= levels <= 65536; a limit above 0 decides instead.
  LevelCodec(std::string_view name, FrameType type, const CodecOptions& options);

  std::string_view name() const override { return name_; }
  bool is_unbiased() const override { return true; }
  void encode(std::span<const float> values, const RandomKey& key,
              std::vector<std::uint8_t>& out) const override;
  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override;
  std::size_t round_trip(std::span<const float> values, const RandomKey& key, std::span<float> out,
                         std::vector<std::uint8_t>& scratch) const override;
  double error_bound(double max_magnitude) const override;
  // Of n values at s levels the expected square grows by min(n / s^2, sqrt(n) / s) (Alistarh et al.
  // 2017, lemma 3.1); a quarter more is far outside what chance does.
  double norm_growth(std::size_t count) const override;

 private:
  struct Codes {
    std::int64_t levels = 0;
    float scale = 0.0F;
    std::vector<std::int8_t> small;       // a value each, cut to [-127, 127]
    std::vector<std::uint16_t> excess{};  // of the magnitudes of those at an end
  };
  static Codes codes_at(std::int64_t levels, std::span<const float> values, RandomStream stream);
  static std::size_t frame_bytes(const Codes& codes);
  Codes quantize(std::span<const float> values, const RandomKey& key) const;
  std::int64_t levels_within(std::span<const float> values, const RandomStream& stream) const;

  std::string_view name_;
  FrameType type_;
  std::int64_t levels_;
  std::size_t max_bytes_;  // of a frame; 0: levels_ for all
};

}  // namespace coppice
