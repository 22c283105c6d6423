// The k values of largest magnitude as they are; all others become 0. Of equal magnitudes the first
// by position stay. k is the fraction times the number of values, rounded, and at least 1. Payload:
// count u64 | k u64 | parameter u8 | values f32 each | gaps (comm/codecs/gaps.h).
//
// Biased: what is left out is lost, unless the client keeps it to send it later
// (comm.error_feedback).

#include <algorithm>  // for fill
#include <cstring>    // for memcpy

#include "comm/codec.h"
#include "comm/codecs/checks.h"
#include "comm/codecs/gaps.h"
#include "comm/wire.h"

namespace coppice {
namespace {

class TopKCodec final : public Codec {
 public:
  explicit TopKCodec(double fraction) : fraction_(fraction) {}

  std::string_view name() const override { return "topk"; }
  bool is_unbiased() const override { return false; }

  void encode(std::span<const float> values, const RandomKey& /*key*/,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    const std::vector<std::uint32_t> positions =
        kept_positions(values, kept_count(name(), fraction_, values.size()));
    begin_frame(out);
    WireWriter writer(out);
    write_kept_header(values.size(), positions.size(), writer);
    std::size_t at = out.size();
    out.resize(at + positions.size() * sizeof(float));
    for (const std::uint32_t position : positions) {
      std::memcpy(&out[at], &values[position], sizeof(float));
      at += sizeof(float);
    }
    write_gaps(positions, values.size(), out);
    finish_frame(FrameType::kTopKUpdate, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kTopKUpdate, frame), "codec topk");
    const std::uint64_t kept = read_kept_header(name(), fraction_, out.size(), reader);
    WireReader values(reader.raw(static_cast<std::size_t>(kept) * sizeof(float)), "codec topk");
    std::ranges::fill(out, 0.0F);
    for (const std::uint32_t position :
         read_gaps(name(), reader.raw(reader.left()), kept, out.size()))
      out[position] = values.f32();
    expect_finite(name(), out);
  }

  // A value that is left out.
  double error_bound(double max_magnitude) const override { return max_magnitude; }

 private:
  double fraction_;
};

}  // namespace

std::unique_ptr<Codec> make_topk_codec(const CodecOptions& options) {
  return std::make_unique<TopKCodec>(options.fraction);
}

}  // namespace coppice
