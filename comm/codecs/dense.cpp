// fp32 values as they are. Payload: count u64 | values f32 each.

#include <cstring>  // for memcpy

#include "comm/codec.h"
#include "comm/codecs/checks.h"
#include "comm/wire.h"

namespace coppice {
namespace {

class Dense final : public Codec {
 public:
  std::string_view name() const override { return "dense"; }
  bool is_unbiased() const override { return true; }

  void encode(std::span<const float> values, const RandomKey& /*key*/,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    begin_frame(out);
    WireWriter(out).floats(values);
    finish_frame(FrameType::kDenseUpdate, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kDenseUpdate, frame), "codec dense");
    expect_count(name(), out.size(), reader.u64());
    const auto bytes = reader.raw(out.size_bytes());
    reader.expect_end();
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    expect_finite(name(), out);
  }

  std::optional<std::size_t> lossless_frame_bytes(std::size_t count) const override {
    return kFrameHeaderBytes + sizeof(std::uint64_t) + count * sizeof(float);
  }

  double error_bound(double /*max_magnitude*/) const override { return 0.0; }
};

}  // namespace

std::unique_ptr<Codec> make_dense_codec(const CodecOptions& /*options*/) {
  return std::make_unique<Dense>();
}

}  // namespace coppice
