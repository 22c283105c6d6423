// The values of a block are rotated at random, so that each becomes nearly normal whatever they
// were, and then rounded to the nearest level of the best quantizer for normal values (Vargaftik et
// al. 2022, EDEN). Payload: count u64 | bits u8 | seed u64 | scale f32 a block | codes, `bits` a
// value. With a limit of bytes bits is 0, blocks are smaller, and behind the seed stand the bits of
// each block, two of them a byte, the first in the lower half (comm/codecs/block_bits.h).
//
// With R the rotation and c the levels, the scale S = |x|^2 / <R x, c> makes the part of
// S R^T c along x exactly x; what is left is at right angles to x and averages to zero over
// rotations. Nothing is kept from round to round.
//
// That is exact for a rotation drawn from all rotations. R is twice: signs at random, then the
// Walsh-Hadamard transform of a power of two of values, at least 512. Two values alone, 1 and 0.9,
// stay two magnitudes after one transform, and at 1 bit the mean is off by nine tenths of its
// length; after two by 0.4 %, 0.1 % at 4 bits. Seven values alone, one in fifty and heavy tails
// showed nothing in 200,000 keys. Values are cut into blocks of 4,096 and the rest into powers of
// two, the last one filled up with zeros.

#include <algorithm>  // for min, max, copy
#include <array>      // for array
#include <bit>        // for bit_floor
#include <cfloat>     // for FLT_MAX
#include <cmath>      // for frexp, ldexp, sqrt
#include <cstring>    // for memcpy

#include "comm/codec.h"
#include "comm/codecs/block_bits.h"
#include "comm/codecs/checks.h"
#include "comm/codecs/rotated.h"
#include "comm/wire.h"
#include "kernels/codes.h"
#include "kernels/hadamard.h"
#include "kernels/lloyd_max.h"

namespace coppice {
namespace {

constexpr std::size_t kLargestBlock = 4096;  // 16 KiB, half of a first-level cache
constexpr std::size_t kSmallestBlock = 512;
// With bits of its own. On updates of LeNet-5 the error at 2 to 4 bits was 15 % larger with 512,
// where bits fit less well, and with 128, where scales take the bytes.
constexpr std::size_t kMixedBlock = 256;
constexpr std::size_t kHeaderBytes =
    sizeof(std::uint64_t) + sizeof(std::uint8_t) + sizeof(std::uint64_t);

struct Block {
  std::size_t begin;
  std::size_t count;  // values; the rest of `size` are zeros
  std::size_t size;
  int bits;

  std::size_t code_bytes() const { return size * static_cast<std::size_t>(bits) / 8; }
};

std::vector<Block> blocks_of(std::size_t n, std::size_t largest, int bits) {
  std::vector<Block> blocks;
  for (std::size_t begin = 0; begin < n; begin += blocks.back().count) {
    const std::size_t left = n - begin;
    const std::size_t size =
        std::clamp(std::bit_floor(left), std::min(kSmallestBlock, largest), largest);
    blocks.push_back({begin, std::min(left, size), size, bits});
  }
  return blocks;
}

std::size_t code_bytes_of(const std::vector<Block>& blocks) {
  std::size_t sum = 0;
  for (const Block& block : blocks) sum += block.code_bytes();
  return sum;
}

// Of a frame whose blocks have bits of their own, without the codes.
std::size_t mixed_overhead(std::size_t blocks) {
  return kFrameHeaderBytes + kHeaderBytes + (blocks + 1) / 2 + blocks * sizeof(float);
}

// One block after the other, the same on both ends for the same seed.
class Rotation {
 public:
  explicit Rotation(std::uint64_t seed)
      : stream_({.seed = seed, .purpose = Purpose::kRounding, .client = -1, .task = 0}) {}

  void next(const Block& block) {
    size_ = static_cast<std::int64_t>(block.size);
    for (auto& words : signs_) stream_.fill(std::span(words).first(block.size / 32));
  }
  // Both without their factor: forward, then backward, multiplies by size^2.
  void forward(float* values) const {
    for (const auto& words : signs_) {
      kernels::flip_signs(words.data(), size_, values);
      kernels::walsh_hadamard(values, size_);
    }
  }
  void backward(float* values) const {
    for (auto words = signs_.rbegin(); words != signs_.rend(); ++words) {
      kernels::walsh_hadamard(values, size_);
      kernels::flip_signs(words->data(), size_, values);
    }
  }

 private:
  RandomStream stream_;
  std::array<std::array<std::uint32_t, kLargestBlock / 32>, 2> signs_{};
  std::int64_t size_ = 0;
};

// Registers that straddle cache lines make the transform half as slow again.
struct alignas(64) Values : std::array<float, kLargestBlock> {};
using Codes = std::array<std::uint8_t, kLargestBlock>;

// Fills `codes` and returns the scale.
float encode_block(std::span<const float> values, const Block& block, const Rotation& rotation,
                   Codes& codes) {
  const auto n = static_cast<std::int64_t>(block.size);
  const float magnitude = kernels::largest_magnitude(values.data(), std::ssize(values));
  if (magnitude == 0.0F) {
    codes.fill(0);
    return 0.0F;
  }
  // To magnitudes near 1, by a power of two: sums and squares then neither overflow nor vanish.
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  Values rotated;
  Values levels;
  kernels::scale_values(values.data(), std::ldexp(1.0, -exponent), std::ssize(values),
                        rotated.data());
  std::fill(rotated.begin() + std::ssize(values), rotated.begin() + n, 0.0F);
  rotation.forward(rotated.data());
  const double square = kernels::dot(rotated.data(), rotated.data(), n);
  const double size_real = static_cast<double>(block.size);
  const auto to_normal = static_cast<float>(std::sqrt(size_real / square));
  kernels::quantize_normal(rotated.data(), to_normal, block.bits, n, codes.data(), levels.data());
  const double along = kernels::dot(rotated.data(), levels.data(), n);
  return static_cast<float>(
      std::min(std::ldexp(square / along / size_real, exponent), double{FLT_MAX}));
}

class Rotated final : public Codec {
 public:
  Rotated(int bits, std::size_t max_bytes) : bits_(bits), max_bytes_(max_bytes) {}

  std::string_view name() const override { return "rotated"; }
  bool is_unbiased() const override { return true; }

  void encode(std::span<const float> values, const RandomKey& key,
              std::vector<std::uint8_t>& out) const override {
    expect_finite(name(), values);
    const std::uint64_t seed = RandomStream(key).next_u64();
    const std::vector<Block> blocks = is_mixed() ? mixed_blocks(values) : equal_blocks(values);
    begin_frame(out);
    WireWriter writer(out);
    writer.u64(values.size());
    writer.u8(static_cast<std::uint8_t>(is_mixed() ? 0 : bits_));
    writer.u64(seed);
    if (is_mixed()) write_bits_of(blocks, writer);
    std::size_t scale_at = out.size();
    std::size_t code_at = scale_at + blocks.size() * sizeof(float);
    out.resize(code_at + code_bytes_of(blocks));
    Rotation rotation(seed);
    Codes codes;
    for (const Block& block : blocks) {
      rotation.next(block);
      float scale = 0.0F;
      if (block.bits > 0) {
        scale = encode_block(values.subspan(block.begin, block.count), block, rotation, codes);
        kernels::pack_codes(codes.data(), block.bits, static_cast<std::int64_t>(block.size),
                            &out[code_at]);
      }
      std::memcpy(&out[scale_at], &scale, sizeof scale);
      scale_at += sizeof scale;
      code_at += block.code_bytes();
    }
    finish_frame(FrameType::kRotatedUpdate, out);
  }

  void decode(std::span<const std::uint8_t> frame, std::span<float> out) const override {
    WireReader reader(read_frame(FrameType::kRotatedUpdate, frame), "codec rotated");
    expect_count(name(), out.size(), reader.u64());
    const int bits = reader.u8();
    const int expected = is_mixed() ? 0 : bits_;
    if (bits != expected)
      throw WireError(text("codec rotated: expected codes of ", expected, " bits, got ", bits));
    if (is_mixed() && frame.size() > max_bytes_)
      throw WireError(
          text("codec rotated: expected at most ", max_bytes_, " bytes, got ", frame.size()));
    Rotation rotation(reader.u64());
    std::vector<Block> blocks = equal_blocks(out);
    if (is_mixed()) read_bits_of(reader, blocks);
    WireReader scales(reader.raw(blocks.size() * sizeof(float)), "codec rotated scales");
    const auto packed = reader.raw(code_bytes_of(blocks));
    reader.expect_end();
    std::size_t code_at = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      rotation.next(blocks[i]);
      decode_block(packed.subspan(code_at), blocks[i], expect_scale(name(), scales.f32(), i),
                   rotation, out.subspan(blocks[i].begin, blocks[i].count));
      code_at += blocks[i].code_bytes();
    }
  }

  // Of the worst rotation. The cosine between a block and its levels is at least 1 / size (both
  // have the same order, so Chebyshev's sum inequality holds), and the error is at most the block's
  // length divided by it.
  double error_bound(double max_magnitude) const override {
    const auto size = static_cast<double>(kLargestBlock);
    return size * std::sqrt(size) * max_magnitude + 8.0 * double{FLT_TRUE_MIN};
  }

 private:
  bool is_mixed() const { return max_bytes_ > 0; }

  std::vector<Block> equal_blocks(std::span<const float> values) const {
    return blocks_of(values.size(), is_mixed() ? kMixedBlock : kLargestBlock, bits_);
  }

  // Within the limit: the more of the update's square a block has, the more bits.
  std::vector<Block> mixed_blocks(std::span<const float> values) const {
    std::vector<Block> blocks = equal_blocks(values);
    std::vector<BlockShare> shares;
    for (const Block& block : blocks) {
      const auto part = values.subspan(block.begin, block.count);
      shares.push_back({.square = kernels::dot(part.data(), part.data(), std::ssize(part)),
                        .codes = block.size});
    }
    const std::size_t overhead = mixed_overhead(blocks.size());
    const std::vector<std::uint8_t> bits =
        bits_within(shares, max_bytes_ - std::min(max_bytes_, overhead));
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].bits = bits[i];
    if (overhead + code_bytes_of(blocks) > max_bytes_) {
      throw ConfigError(text("codec rotated: expected at least ", overhead + code_bytes_of(blocks),
                             " bytes for ", values.size(), " values of one bit each, got ",
                             max_bytes_));
    }
    return blocks;
  }

  static void write_bits_of(const std::vector<Block>& blocks, WireWriter& out) {
    for (std::size_t i = 0; i < blocks.size(); i += 2) {
      const int upper = i + 1 < blocks.size() ? blocks[i + 1].bits : 0;
      out.u8(static_cast<std::uint8_t>(blocks[i].bits | upper << 4));
    }
  }

  static void read_bits_of(WireReader& in, std::vector<Block>& blocks) {
    const auto halves = in.raw((blocks.size() + 1) / 2);
    for (std::size_t i = 0; i < 2 * halves.size(); ++i) {
      const int bits = halves[i / 2] >> (i % 2 == 0 ? 0U : 4U) & 0xF;
      if (bits > (i < blocks.size() ? kMostBlockBits : 0))
        throw WireError(text("codec rotated: expected at most ", int{kMostBlockBits},
                             " bits in a block, and none behind the last, got ", bits));
      if (i < blocks.size()) blocks[i].bits = bits;
    }
  }

  void decode_block(std::span<const std::uint8_t> packed, const Block& block, float scale,
                    const Rotation& rotation, std::span<float> out) const {
    if (block.bits == 0 && scale != 0.0F)
      throw WireError(
          text("codec rotated: expected no scale where there are no bits, got ", scale));
    if (scale == 0.0F) {
      std::ranges::fill(out, 0.0F);
      return;
    }
    Codes codes;
    Values levels;
    const auto n = static_cast<std::int64_t>(block.size);
    kernels::unpack_codes(packed.data(), block.bits, n, codes.data());
    kernels::normal_levels_of(codes.data(), block.bits, n, levels.data());
    rotation.backward(levels.data());
    kernels::scale_values(levels.data(), double{scale} / static_cast<double>(block.size),
                          std::ssize(out), out.data());
  }

  int bits_;
  std::size_t max_bytes_;  // of a frame; 0: bits_ for all
};

}  // namespace

std::int64_t rotated_frame_bytes(std::int64_t count, std::int64_t bits) {
  const std::vector<Block> blocks =
      blocks_of(static_cast<std::size_t>(count), kMixedBlock, static_cast<int>(bits));
  return static_cast<std::int64_t>(mixed_overhead(blocks.size()) + code_bytes_of(blocks));
}

std::unique_ptr<Codec> make_rotated_codec(const CodecOptions& options) {
  return std::make_unique<Rotated>(static_cast<int>(options.bits),
                                   static_cast<std::size_t>(options.max_bytes));
}

}  // namespace coppice
