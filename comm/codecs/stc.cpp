// Sparse ternary compression (Sattler et al. 2019): the k values of largest magnitude become the
// mean of their magnitudes with their signs, all others 0. Payload: count u64 | k u64 | parameter
// u8 | mean f32 | a bit a kept value, 1 if it is negative, filled up with zeros to whole bytes |
// gaps (comm/codecs/gaps.h). Biased: meant for comm.error_feedback, as in the paper.

#include <algorithm>  // for fill
#include <cmath>      // for abs, signbit

#include "comm/codec.h"
#include "comm/codecs/checks.h"
#include "comm/codecs/gaps.h"
#include "comm/wire.h"

namespace coppice {
namespace {

class StcCodec final : public Codec {
 public:
  explicit StcCodec(double fraction) : fraction_(fraction) {}

  std::string_view name() const override { return "stc"; }
  bool is_unbiased() const override { return false; }

  void encode(std::span<const float> values, const RandomKey& /*key*/,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    const std::vector<std::uint32_t> positions =
        kept_positions(values, kept_count(name(), fraction_, values.size()));
    double sum = 0.0;
    for (const std::uint32_t position : positions) sum += std::abs(double{values[position]});
    begin_frame(out);
    WireWriter writer(out);
    write_kept_header(values.size(), positions.size(), writer);
    writer.f32(positions.empty() ? 0.0F
                                 : static_cast<float>(sum / static_cast<double>(positions.size())));
    BitWriter signs(out);
    for (const std::uint32_t position : positions)
      signs.put(std::signbit(values[position]) ? 1U : 0U, 1);
    signs.finish();
    write_gaps(positions, values.size(), out);
    finish_frame(FrameType::kStcUpdate, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kStcUpdate, frame), "codec stc");
    const std::uint64_t kept = read_kept_header(name(), fraction_, out.size(), reader);
    const float mean = expect_scale(name(), reader.f32(), 0);
    BitReader signs(reader.raw(static_cast<std::size_t>((kept + 7) / 8)), name());
    std::ranges::fill(out, 0.0F);
    for (const std::uint32_t position :
         read_gaps(name(), reader.raw(reader.left()), kept, out.size()))
      out[position] = signs.take(1) != 0 ? -mean : mean;
    signs.expect_end();
  }

  // A value that is left out; one that is kept moves by less.
  double error_bound(double max_magnitude) const override { return max_magnitude; }

 private:
  double fraction_;
};

}  // namespace

std::unique_ptr<Codec> make_stc_codec(const CodecOptions& options) {
  return std::make_unique<StcCodec>(options.fraction);
}

}  // namespace coppice
