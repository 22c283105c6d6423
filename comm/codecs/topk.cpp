// The k values of largest magnitude as they are; all others become 0. Of equal magnitudes the first
// by position stay. k is the fraction times the number of values, rounded, and at least 1. Payload:
// count u64 | k u64 | parameter u8 | values f32 each | gaps.
//
// A gap is the number of values left out before one that is kept. It is a Golomb code with a power
// of two (Golomb 1966; Sattler et al. 2019 chose the parameter as done here): gap >> parameter
// zeros, a one, then the parameter's lowest bits of the gap, from the lowest bit of the first byte
// on; the last byte is filled up with zeros. At a tenth that is 4.8 bits a position, where the
// entropy is 4.7.
//
// Biased: what is left out is lost, for no state is kept at a client to send it later.

#include <algorithm>  // for max, fill
#include <bit>        // for bit_width, countr_zero
#include <cmath>      // for llround
#include <cstring>    // for memcpy

#include "comm/codec.h"
#include "comm/codecs/checks.h"
#include "comm/wire.h"
#include "kernels/top_k.h"

namespace coppice {
namespace {

// 1 + floor(log2(ln(golden ratio - 1) / ln(1 - k / n))) for small k / n, and at least 0.
unsigned parameter_for(std::uint64_t n, std::uint64_t k) {
  return k == 0 ? 0U : static_cast<unsigned>(std::bit_width(n * 481 / (k * 1000)));
}

// Appends bits, the first in the lowest bit of the first byte.
class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& out) : out_(&out) {}

  void put(std::uint64_t bits, unsigned count) {  // count <= 32, bits < 2^count
    word_ |= bits << filled_;
    filled_ += count;
    while (filled_ >= 8) flush_byte();
  }
  void finish() {
    if (filled_ > 0) flush_byte();
  }

 private:
  void flush_byte() {
    out_->push_back(static_cast<std::uint8_t>(word_));
    word_ >>= 8U;
    filled_ -= std::min(filled_, 8U);
  }

  std::vector<std::uint8_t>* out_;
  std::uint64_t word_ = 0;
  unsigned filled_ = 0;
};

// Reads them back; throws WireError past the end.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> in) : in_(in) {}

  std::uint64_t take(unsigned count) {  // at most 32
    while (filled_ < count) refill();
    const std::uint64_t bits = word_ & ((std::uint64_t{1} << count) - 1);
    word_ >>= count;
    filled_ -= count;
    return bits;
  }
  // The number of zeros before the next one, which is taken too.
  std::uint64_t take_zeros() {
    std::uint64_t zeros = 0;
    while (word_ == 0) {
      zeros += filled_;
      filled_ = 0;
      refill();
    }
    const auto run = static_cast<unsigned>(std::countr_zero(word_));
    word_ >>= run + 1;
    filled_ -= run + 1;
    return zeros + run;
  }
  void expect_end() const {
    if (at_ != in_.size() || filled_ >= 8 || word_ != 0)
      throw WireError("codec topk: expected less than a byte of zeros after the last gap");
  }

 private:
  void refill() {  // filled_ < 32
    const std::size_t left = in_.size() - at_;
    if (left == 0) throw WireError("codec topk: expected more gaps, got the end");
    const std::size_t bytes = std::min<std::size_t>(left, 4);
    std::uint32_t more = 0;
    std::memcpy(&more, &in_[at_], bytes);
    word_ |= std::uint64_t{more} << filled_;
    filled_ += static_cast<unsigned>(8 * bytes);
    at_ += bytes;
  }

  std::span<const std::uint8_t> in_;
  std::size_t at_ = 0;
  std::uint64_t word_ = 0;
  unsigned filled_ = 0;  // bits of word_; those above are 0
};

void write_gaps(std::span<const std::uint32_t> positions, unsigned parameter,
                std::vector<std::uint8_t>& out) {
  BitWriter bits(out);
  std::uint32_t next = 0;
  for (const std::uint32_t position : positions) {
    const std::uint32_t gap = position - next;
    std::uint32_t zeros = gap >> parameter;
    for (; zeros >= 32; zeros -= 32) bits.put(0, 32);
    bits.put(std::uint64_t{1} << zeros, zeros + 1);
    bits.put(gap & ((1U << parameter) - 1U), parameter);
    next = position + 1;
  }
  bits.finish();
}

[[noreturn]] void throw_position(std::size_t n, const std::string& got) {
  throw WireError(text("codec topk: expected positions below ", n, ", got ", got));
}

class TopKCodec final : public Codec {
 public:
  explicit TopKCodec(double fraction) : fraction_(fraction) {}

  std::string_view name() const override { return "topk"; }
  bool is_unbiased() const override { return false; }

  void encode(std::span<const float> values, const RandomKey& /*key*/,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    const std::vector<std::uint32_t> positions = positions_of(values);
    const unsigned parameter = parameter_for(values.size(), positions.size());
    begin_frame(out);
    WireWriter writer(out);
    writer.u64(values.size());
    writer.u64(positions.size());
    writer.u8(static_cast<std::uint8_t>(parameter));
    std::size_t at = out.size();
    out.resize(at + positions.size() * sizeof(float));
    for (const std::uint32_t position : positions) {
      std::memcpy(&out[at], &values[position], sizeof(float));
      at += sizeof(float);
    }
    write_gaps(positions, parameter, out);
    finish_frame(FrameType::kTopKUpdate, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kTopKUpdate, frame), "codec topk");
    expect_count(name(), out.size(), reader.u64());
    const std::uint64_t kept = reader.u64();
    const std::uint64_t expected = count_of(out.size());
    if (kept != expected)
      throw WireError(text("codec topk: expected ", expected, " values kept, got ", kept));
    const unsigned parameter = reader.u8();
    if (parameter != parameter_for(out.size(), kept)) {
      throw WireError(text("codec topk: expected gaps with parameter ",
                           parameter_for(out.size(), kept), ", got ", parameter));
    }
    WireReader values(reader.raw(static_cast<std::size_t>(kept) * sizeof(float)), "codec topk");
    BitReader gaps(reader.raw(reader.left()));
    std::ranges::fill(out, 0.0F);
    std::uint64_t next = 0;
    for (std::uint64_t i = 0; i < kept; ++i) {
      const std::uint64_t zeros = gaps.take_zeros();
      if (zeros > (out.size() >> parameter)) throw_position(out.size(), "a gap beyond the last");
      const std::uint64_t position = next + ((zeros << parameter) | gaps.take(parameter));
      if (position >= out.size()) throw_position(out.size(), text(position));
      out[position] = values.f32();
      next = position + 1;
    }
    gaps.expect_end();
    expect_finite(name(), out);
  }

  // A value that is left out.
  double error_bound(double max_magnitude) const override { return max_magnitude; }

 private:
  // Positions travel as 32-bit numbers inside.
  std::uint64_t count_of(std::size_t n) const {
    if (n > UINT32_MAX)
      throw WireError(text("codec topk: expected at most 2^32 - 1 values, got ", n));
    if (n == 0) return 0;
    const auto rounded =
        static_cast<std::uint64_t>(std::llround(fraction_ * static_cast<double>(n)));
    return std::clamp<std::uint64_t>(rounded, 1, n);
  }

  std::vector<std::uint32_t> positions_of(std::span<const float> values) const {
    const auto k = static_cast<std::int64_t>(count_of(values.size()));
    if (k == 0) return {};
    const std::int64_t n = std::ssize(values);
    std::vector<std::uint32_t> positions(static_cast<std::size_t>(k) + 1);
    kernels::top_k_positions(values.data(), n, kernels::top_k(values.data(), n, k),
                             positions.data());
    positions.pop_back();
    return positions;
  }

  double fraction_;
};

}  // namespace

std::unique_ptr<Codec> make_topk_codec(const CodecOptions& options) {
  return std::make_unique<TopKCodec>(options.fraction);
}

}  // namespace coppice
