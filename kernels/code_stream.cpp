#include "kernels/code_stream.h"

#include <algorithm>  // for fill, max
#include <array>      // for array
#include <bit>        // for bit_width
#include <cstdlib>    // for abs

namespace coppice::kernels {
namespace {

constexpr int kLargestCode = 127;
constexpr int kMostWidth = 7;                     // bits of a magnitude
constexpr std::uint32_t kLeastRange = 1U << 24U;  // below it the coder moves on by a byte
constexpr std::uint32_t kFastMemory = 20;         // decisions, about
constexpr std::uint32_t kSlowMemory = 500;
constexpr std::uint32_t kOneFlushedByte = kLeastRange - 1;

// 2^16 / (n + 2): after n decisions the next one moves a probability by 1 / (n + 2) of the way
// (Krichevsky & Trofimov 1981), and after as many as it remembers by as much as then.
constexpr auto kRates = [] {
  std::array<std::uint32_t, kSlowMemory + 1> rates{};
  for (std::uint32_t n = 0; n < rates.size(); ++n) rates[n] = 65536U / (n + 2);
  return rates;
}();

// The probability of a decision to be true: the mean of two that forget at different speeds. The
// fast one follows a row whose codes are unlike others', the slow one is exact where all are alike.
class Chance {
 public:
  // In 2^-16, odd: neither 0 nor 1.
  std::uint32_t share() const {
    return static_cast<std::uint32_t>((std::uint64_t{fast_} + slow_) >> 17U) | 1U;
  }

  void learn(bool decision) {
    const std::uint32_t flip = decision ? ~0U : 0U;
    fast_ = moved(fast_ ^ flip, kRates[std::min(seen_, kFastMemory)]) ^ flip;
    slow_ = moved(slow_ ^ flip, kRates[seen_]) ^ flip;
    seen_ += seen_ < kSlowMemory ? 1U : 0U;
  }

 private:
  // Of what was not decided.
  static std::uint32_t moved(std::uint32_t probability, std::uint32_t rate) {
    return probability - static_cast<std::uint32_t>(std::uint64_t{probability} * rate >> 16U);
  }

  std::uint32_t fast_ = 1U << 31U;  // in 2^-32
  std::uint32_t slow_ = 1U << 31U;
  std::uint32_t seen_ = 0;
};

// Of `range`, what stands for true: at least 1 and less than all of it.
std::uint32_t true_part(std::uint32_t range, const Chance& chance) {
  return static_cast<std::uint32_t>(std::uint64_t{range} * chance.share() >> 16U);
}

// The three coders have one interface: decide() takes a decision (the decoder ignores it) and gives
// the one that the stream says.

// Only counts: what the encoder writes does not change how much it writes.
class Counter {
 public:
  bool decide(Chance& chance, bool decision) {
    const std::uint32_t part = true_part(range_, chance);
    range_ = decision ? part : range_ - part;
    for (; range_ < kLeastRange; range_ <<= 8U) ++bytes_;
    chance.learn(decision);
    return decision;
  }

  std::size_t bytes() const { return bytes_ + 1; }

 private:
  std::uint32_t range_ = ~0U;
  std::size_t bytes_ = 0;
};

// The stream is a number; [low, low + range) are those that say what was decided so far.
class Encoder {
 public:
  explicit Encoder(std::vector<std::uint8_t>& out) : out_(out) {}

  bool decide(Chance& chance, bool decision) {
    const std::uint32_t part = true_part(range_, chance);
    if (decision) {
      range_ = part;
    } else {
      add(part);
      range_ -= part;
    }
    for (; range_ < kLeastRange; range_ <<= 8U) put();
    chance.learn(decision);
    return decision;
  }

  // The one number of the range that ends in 24 zeros, which are not written.
  void finish() {
    add(kOneFlushedByte);
    put();
  }

 private:
  void add(std::uint32_t value) {
    low_ += value;
    if (low_ >= value) return;
    // The carry ends in this stream's bytes: its number is less than one.
    for (std::size_t at = out_.size(); ++out_[--at] == 0;) {
    }
  }

  void put() {
    out_.push_back(static_cast<std::uint8_t>(low_ >> 24U));
    low_ <<= 8U;
  }

  std::vector<std::uint8_t>& out_;
  std::uint32_t low_ = 0;
  std::uint32_t range_ = ~0U;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    for (int i = 0; i < 4; ++i) take();
  }

  bool decide(Chance& chance, bool /*unknown*/) {
    const std::uint32_t part = true_part(range_, chance);
    const bool decision = above_low_ < part;
    if (decision) {
      range_ = part;
    } else {
      above_low_ -= part;
      range_ -= part;
    }
    for (; range_ < kLeastRange; range_ <<= 8U) take();
    chance.learn(decision);
    return decision;
  }

  // Whether an encoder would have ended here, and so.
  bool is_finished() const { return taken_ == bytes_.size() + 3 && above_low_ < kLeastRange; }

 private:
  // Zeros follow the last byte: the encoder leaves them out.
  void take() {
    above_low_ = above_low_ << 8U | (taken_ < bytes_.size() ? bytes_[taken_] : 0U);
    ++taken_;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t taken_ = 0;
  std::uint32_t range_ = ~0U;
  std::uint32_t above_low_ = 0;  // the stream's number less the encoder's `low`
};

// Codes of [rows][length] in their order, through one of the coders.
template <typename Coder>
class Walk {
 public:
  Walk(Coder& coder, std::int64_t row, int largest)
      : coder_(coder),
        row_(static_cast<std::size_t>(row)),
        most_width_(std::bit_width(static_cast<unsigned>(largest))) {}

  // codes[i] as the stream has it; those before it are known.
  int pass(const std::int8_t* codes, std::size_t i, int code) {
    const int before = i >= 1 ? codes[i - 1] : 0;
    const int further = i >= 2 ? codes[i - 2] : 0;
    const int above = i >= row_ ? codes[i - row_] : 0;
    const unsigned around =
        (before != 0 ? 1U : 0U) + (further != 0 ? 1U : 0U) + (above != 0 ? 3U : 0U);
    if (!coder_.decide(not_zero_[around], code != 0)) return 0;
    const unsigned sign_before = before < 0 ? 1U : before > 0 ? 2U : 0U;
    const bool is_negative = coder_.decide(negative_[sign_before], code < 0);
    const int magnitude = pass_magnitude(std::abs(code));
    return is_negative ? -magnitude : magnitude;
  }

 private:
  int pass_magnitude(int magnitude) {
    const int given = std::bit_width(static_cast<unsigned>(magnitude));
    int width = 1;
    while (width < most_width_ && coder_.decide(wider_[at(width)], given > width)) ++width;
    unsigned value = 1;
    for (int bit = width - 2; bit >= 0; --bit) {
      const bool is_set =
          (static_cast<unsigned>(magnitude) >> static_cast<unsigned>(bit) & 1U) != 0;
      value = 2 * value + (coder_.decide(below_[at(width)][value], is_set) ? 1U : 0U);
    }
    return static_cast<int>(value);
  }

  static std::size_t at(int width) { return static_cast<std::size_t>(width); }

  Coder& coder_;
  std::size_t row_;
  int most_width_;
  std::array<Chance, 6> not_zero_{};
  std::array<Chance, 3> negative_{};
  std::array<Chance, kMostWidth + 1> wider_{};
  // By the magnitude's width and its bits so far.
  std::array<std::array<Chance, 1U << (kMostWidth - 1)>, kMostWidth + 1> below_{};
};

int largest_of(std::span<const std::int8_t> codes) {
  int largest = 0;
  for (const std::int8_t code : codes) largest = std::max(largest, std::abs(int{code}));
  return largest;
}

template <typename Coder>
void pass_all(Coder& coder, std::span<const std::int8_t> codes, std::int64_t row, int largest) {
  Walk<Coder> walk(coder, row, largest);
  for (std::size_t i = 0; i < codes.size(); ++i) walk.pass(codes.data(), i, codes[i]);
}

}  // namespace

std::size_t coded_bytes(std::span<const std::int8_t> codes, std::int64_t row) {
  const int largest = largest_of(codes);
  if (largest == 0) return 1;
  Counter counter;
  pass_all(counter, codes, row, largest);
  return 1 + counter.bytes();
}

void encode_codes(std::span<const std::int8_t> codes, std::int64_t row,
                  std::vector<std::uint8_t>& out) {
  const int largest = largest_of(codes);
  out.push_back(static_cast<std::uint8_t>(largest));
  if (largest == 0) return;
  Encoder encoder(out);
  pass_all(encoder, codes, row, largest);
  encoder.finish();
}

bool decode_codes(std::span<const std::uint8_t> bytes, std::int64_t row, int largest,
                  std::span<std::int8_t> codes) {
  if (bytes.empty() || bytes[0] > std::min(largest, kLargestCode)) return false;
  const int most = bytes[0];
  if (most == 0) {
    std::ranges::fill(codes, std::int8_t{0});
    return bytes.size() == 1;
  }
  Decoder decoder(bytes.subspan(1));
  Walk<Decoder> walk(decoder, row, most);
  int found = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const int code = walk.pass(codes.data(), i, 0);
    found = std::max(found, std::abs(code));
    codes[i] = static_cast<std::int8_t>(code);
  }
  return found == most && decoder.is_finished();
}

}  // namespace coppice::kernels
