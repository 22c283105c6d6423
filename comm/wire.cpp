#include "comm/wire.h"

#include <algorithm>  // for equal, copy
#include <array>      // for array
#include <bit>        // for endian
#include <cassert>    // for assert
#include <cstring>    // for memcpy

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

static_assert(std::endian::native == std::endian::little,
              "frames are little-endian and copied as they lie in memory");

constexpr std::array<std::uint8_t, 4> kMagic{'C', 'P', 'C', '1'};
constexpr std::uint16_t kVersion = 1;

template <typename T>
void append(std::vector<std::uint8_t>& out, std::span<const T> values) {
  if (values.empty()) return;
  const std::size_t begin = out.size();
  out.resize(begin + values.size_bytes());
  std::memcpy(out.data() + begin, values.data(), values.size_bytes());
}

template <typename T>
void append(std::vector<std::uint8_t>& out, T value) {
  append(out, std::span<const T>(&value, 1));
}

template <typename T>
T load(std::span<const std::uint8_t> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <typename T>
std::vector<T> load_all(std::span<const std::uint8_t> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace

void WireWriter::u8(std::uint8_t value) { append(*out_, value); }
void WireWriter::u16(std::uint16_t value) { append(*out_, value); }
void WireWriter::u32(std::uint32_t value) { append(*out_, value); }
void WireWriter::u64(std::uint64_t value) { append(*out_, value); }
void WireWriter::i64(std::int64_t value) { append(*out_, value); }
void WireWriter::f32(float value) { append(*out_, value); }
void WireWriter::f64(double value) { append(*out_, value); }

void WireWriter::bytes(std::span<const std::uint8_t> value) {
  u64(value.size());
  append(*out_, value);
}

void WireWriter::text(const std::string& value) { bytes(bytes_of(value)); }

void WireWriter::floats(std::span<const float> values) {
  u64(values.size());
  append(*out_, values);
}

void WireWriter::int64s(std::span<const std::int64_t> values) {
  u64(values.size());
  append(*out_, values);
}

std::span<const std::uint8_t> WireReader::take(std::size_t count) {
  if (count > in_.size()) {
    throw WireError(coppice::text(what_, ": expected ", count, " more bytes, got ", in_.size()));
  }
  const auto taken = in_.first(count);
  in_ = in_.subspan(count);
  return taken;
}

std::size_t WireReader::count_of(std::size_t item_bytes) {
  const std::uint64_t count = u64();
  if (count > in_.size() / item_bytes) {
    throw WireError(coppice::text(what_, ": expected a count of at most ", in_.size() / item_bytes,
                                  " in the ", in_.size(), " bytes left, got ", count));
  }
  return static_cast<std::size_t>(count);
}

std::uint8_t WireReader::u8() { return take(1)[0]; }
std::uint16_t WireReader::u16() { return load<std::uint16_t>(take(2)); }
std::uint32_t WireReader::u32() { return load<std::uint32_t>(take(4)); }
std::uint64_t WireReader::u64() { return load<std::uint64_t>(take(8)); }
std::int64_t WireReader::i64() { return load<std::int64_t>(take(8)); }
float WireReader::f32() { return load<float>(take(4)); }
double WireReader::f64() { return load<double>(take(8)); }

std::vector<std::uint8_t> WireReader::bytes() { return load_all<std::uint8_t>(take(count_of(1))); }

std::string WireReader::text() {
  const auto taken = take(count_of(1));
  return {taken.begin(), taken.end()};
}

std::vector<float> WireReader::floats() { return load_all<float>(take(4 * count_of(4))); }
std::vector<std::int64_t> WireReader::int64s() {
  return load_all<std::int64_t>(take(8 * count_of(8)));
}
std::span<const std::uint8_t> WireReader::raw(std::size_t count) { return take(count); }

void WireReader::expect_end() const {
  if (!in_.empty())
    throw WireError(coppice::text(what_, ": expected the end, got ", in_.size(), " more bytes"));
}

void begin_frame(std::vector<std::uint8_t>& out) { out.assign(kFrameHeaderBytes, 0); }

void finish_frame(FrameType type, std::vector<std::uint8_t>& out) {
  assert(out.size() >= kFrameHeaderBytes);
  const auto payload = std::span<const std::uint8_t>(out).subspan(kFrameHeaderBytes);
  std::vector<std::uint8_t> header(kMagic.begin(), kMagic.end());
  WireWriter writer(header);
  writer.u16(kVersion);
  writer.u16(static_cast<std::uint16_t>(type));
  writer.u64(payload.size());
  writer.u32(crc32c(payload));
  std::ranges::copy(header, out.begin());
}

void write_frame(FrameType type, std::span<const std::uint8_t> payload,
                 std::vector<std::uint8_t>& out) {
  begin_frame(out);
  append(out, payload);
  finish_frame(type, out);
}

std::span<const std::uint8_t> read_frame(FrameType expected, std::span<const std::uint8_t> bytes) {
  const auto check = [](std::string_view what, std::uint64_t wanted, std::uint64_t got) {
    if (got != wanted) throw WireError(text("frame: expected ", what, " ", wanted, ", got ", got));
  };
  WireReader reader(bytes, "frame");
  const auto magic = reader.raw(kMagic.size());
  if (!std::equal(kMagic.begin(), kMagic.end(), magic.begin())) {
    throw WireError(text("frame: expected magic ", hex(kMagic), ", got ", hex(magic)));
  }
  check("version", kVersion, reader.u16());
  check("type", static_cast<std::uint16_t>(expected), reader.u16());
  const std::uint64_t length = reader.u64();
  const std::uint32_t crc = reader.u32();
  check("a payload of bytes", length, reader.left());
  const auto payload = reader.raw(static_cast<std::size_t>(length));
  check("CRC-32C", crc, crc32c(payload));
  return payload;
}

}  // namespace coppice
