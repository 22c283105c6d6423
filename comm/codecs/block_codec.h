#pragma once
// What int8 and int4 share: signed codes in blocks of 256 values that share a scale; the last block
// may be shorter. Payload: count u64 | scale f32 a block | codes, each block filled up to whole
// bytes with zero bits. Value = code * scale, codes in [-max_code, max_code].
//
// x / scale is rounded up with the probability of its fraction (stochastic rounding, as in Alistarh
// et al. 2017, QSGD), so the mean over keys is x. The scale is the smallest float that is at least
// max|x| / max_code: were it any smaller, the largest value of a block would have to be clamped and
// its mean would be off. Word i of the key's stream rounds value i.

#include "comm/codec.h"
#include "comm/wire.h"

namespace coppice {

class BlockCodec final : public Codec {
 public:
  // `name` outlives the codec. 2 <= bits <= 8; the largest code is 2^(bits - 1) - 1.
  BlockCodec(std::string_view name, FrameType type, int bits);

  std::string_view name() const override { return name_; }
  bool is_unbiased() const override { return true; }
  void encode(std::span<const float> values, const RandomKey& key,
              std::vector<std::uint8_t>& out) const override;
  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override;
  std::size_t round_trip(std::span<const float> values, const RandomKey& key, std::span<float> out,
                         std::vector<std::uint8_t>& scratch) const override;
  double error_bound(double max_magnitude) const override;

 private:
  std::size_t bytes_of_block(std::size_t values) const;
  float scale_of(std::span<const float> block) const;
  void encode_block(std::span<const float> values, float scale, RandomStream& stream,
                    std::span<std::uint8_t> out) const;
  void decode_block(std::span<const std::uint8_t> packed, float scale, std::span<float> out) const;

  std::string_view name_;
  FrameType type_;
  int bits_;
  int max_code_;
};

}  // namespace coppice
