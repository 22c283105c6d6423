#include "comm/codecs/gaps.h"

#include <algorithm>  // for clamp, min
#include <bit>        // for bit_width, countr_zero
#include <cmath>      // for llround
#include <cstring>    // for memcpy

#include "comm/codecs/checks.h"
#include "kernels/top_k.h"

namespace coppice {
namespace {

// 1 + floor(log2(ln(golden ratio - 1) / ln(1 - k / n))) for small k / n, and at least 0.
unsigned parameter_for(std::uint64_t n, std::uint64_t k) {
  return k == 0 ? 0U : static_cast<unsigned>(std::bit_width(n * 481 / (k * 1000)));
}

[[noreturn]] void throw_position(std::string_view codec, std::size_t n, const std::string& got) {
  throw WireError(text("codec ", codec, ": expected positions below ", n, ", got ", got));
}

}  // namespace

void BitWriter::put(std::uint64_t bits, unsigned count) {
  word_ |= bits << filled_;
  filled_ += count;
  while (filled_ >= 8) flush_byte();
}

void BitWriter::finish() {
  if (filled_ > 0) flush_byte();
}

void BitWriter::flush_byte() {
  out_->push_back(static_cast<std::uint8_t>(word_));
  word_ >>= 8U;
  filled_ -= std::min(filled_, 8U);
}

std::uint64_t BitReader::take(unsigned count) {
  while (filled_ < count) refill();
  const std::uint64_t bits = word_ & ((std::uint64_t{1} << count) - 1);
  word_ >>= count;
  filled_ -= count;
  return bits;
}

std::uint64_t BitReader::take_zeros() {
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

void BitReader::expect_end() const {
  if (at_ != in_.size() || filled_ >= 8 || word_ != 0)
    throw WireError(text("codec ", codec_, ": expected less than a byte of zeros at the end"));
}

void BitReader::refill() {  // filled_ < 32
  const std::size_t left = in_.size() - at_;
  if (left == 0) throw WireError(text("codec ", codec_, ": expected more gaps, got the end"));
  const std::size_t bytes = std::min<std::size_t>(left, 4);
  std::uint32_t more = 0;
  std::memcpy(&more, &in_[at_], bytes);
  word_ |= std::uint64_t{more} << filled_;
  filled_ += static_cast<unsigned>(8 * bytes);
  at_ += bytes;
}

// Positions travel as 32-bit numbers inside.
std::uint64_t kept_count(std::string_view codec, double fraction, std::size_t n) {
  if (n > UINT32_MAX)
    throw WireError(text("codec ", codec, ": expected at most 2^32 - 1 values, got ", n));
  if (n == 0) return 0;
  const auto rounded = static_cast<std::uint64_t>(std::llround(fraction * static_cast<double>(n)));
  return std::clamp<std::uint64_t>(rounded, 1, n);
}

std::vector<std::uint32_t> kept_positions(std::span<const float> values, std::uint64_t k) {
  if (k == 0) return {};
  const std::int64_t n = std::ssize(values);
  std::vector<std::uint32_t> positions(static_cast<std::size_t>(k) + 1);
  kernels::top_k_positions(values.data(), n,
                           kernels::top_k(values.data(), n, static_cast<std::int64_t>(k)),
                           positions.data());
  positions.pop_back();
  return positions;
}

void write_kept_header(std::size_t n, std::size_t k, WireWriter& out) {
  out.u64(n);
  out.u64(k);
  out.u8(static_cast<std::uint8_t>(parameter_for(n, k)));
}

std::uint64_t read_kept_header(std::string_view codec, double fraction, std::size_t n,
                               WireReader& in) {
  expect_count(codec, n, in.u64());
  const std::uint64_t kept = in.u64();
  const std::uint64_t expected = kept_count(codec, fraction, n);
  if (kept != expected)
    throw WireError(text("codec ", codec, ": expected ", expected, " values kept, got ", kept));
  const unsigned parameter = in.u8();
  if (parameter != parameter_for(n, kept)) {
    throw WireError(text("codec ", codec, ": expected gaps with parameter ", parameter_for(n, kept),
                         ", got ", parameter));
  }
  return kept;
}

void write_gaps(std::span<const std::uint32_t> positions, std::size_t n,
                std::vector<std::uint8_t>& out) {
  const unsigned parameter = parameter_for(n, positions.size());
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

std::vector<std::uint32_t> read_gaps(std::string_view codec, std::span<const std::uint8_t> gaps,
                                     std::uint64_t k, std::size_t n) {
  const unsigned parameter = parameter_for(n, k);
  BitReader bits(gaps, codec);
  std::vector<std::uint32_t> positions;
  positions.reserve(static_cast<std::size_t>(k));
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < k; ++i) {
    const std::uint64_t zeros = bits.take_zeros();
    if (zeros > (n >> parameter)) throw_position(codec, n, "a gap beyond the last");
    const std::uint64_t position = next + ((zeros << parameter) | bits.take(parameter));
    if (position >= n) throw_position(codec, n, text(position));
    positions.push_back(static_cast<std::uint32_t>(position));
    next = position + 1;
  }
  bits.expect_end();
  return positions;
}

}  // namespace coppice
