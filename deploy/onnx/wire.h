#pragma once
// ONNX's messages field by field, where they lie in the file: nothing is built, and a hostile
// length or nesting is refused before it costs anything. Internal to deploy/onnx; pure, any thread.

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <bit>          // for bit_cast
#include <cstdint>      // for int64_t
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice::onnx_wire {

using google::protobuf::internal::WireFormatLite;

// Of messages in one another.
inline constexpr int kMaxDepth = 64;

// A field as it stands in the file: its number and, by wire type, a number or bytes.
struct Field {
  int number = 0;
  WireFormatLite::WireType type = WireFormatLite::WIRETYPE_VARINT;
  std::uint64_t value = 0;              // of a varint, or the bits of a fp32
  std::span<const std::uint8_t> bytes;  // of what is length-delimited

  bool is_bytes(int wanted) const {
    return number == wanted && type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  }
  bool is_number(int wanted) const {
    return number == wanted && type == WireFormatLite::WIRETYPE_VARINT;
  }
  bool is_real(int wanted) const {
    return number == wanted && type == WireFormatLite::WIRETYPE_FIXED32;
  }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string text() const { return std::string(view()); }
  std::int64_t integer() const { return static_cast<std::int64_t>(value); }
  float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
};

// Throws DataError "damaged `message` message".
[[noreturn]] void fail_message(const char* message);

// Calls `visit` with every field of one message, in the file's order. Throws DataError for bytes
// that are not fields.
template <typename Visit>
void for_each_field(std::span<const std::uint8_t> bytes, const char* message, Visit&& visit) {
  google::protobuf::io::CodedInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxDepth);
  while (const std::uint32_t tag = stream.ReadTag()) {
    Field field{.number = WireFormatLite::GetTagFieldNumber(tag),
                .type = WireFormatLite::GetTagWireType(tag),
                .bytes = {}};
    if (field.type == WireFormatLite::WIRETYPE_VARINT) {
      if (!stream.ReadVarint64(&field.value)) fail_message(message);
    } else if (field.type == WireFormatLite::WIRETYPE_FIXED32) {
      std::uint32_t bits = 0;
      if (!stream.ReadLittleEndian32(&bits)) fail_message(message);
      field.value = bits;
    } else if (field.type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      std::uint32_t length = 0;
      if (!stream.ReadVarint32(&length)) fail_message(message);
      const auto begin = static_cast<std::size_t>(stream.CurrentPosition());
      if (length > bytes.size() - begin) fail_message(message);
      field.bytes = bytes.subspan(begin, length);
      stream.Skip(static_cast<int>(length));
    } else if (!WireFormatLite::SkipField(&stream, tag)) {
      fail_message(message);
    }
    visit(field);
  }
  if (!stream.ConsumedEntireMessage()) fail_message(message);
}

// Calls `visit` with every number of a packed field.
template <typename Visit>
void for_each_packed(std::span<const std::uint8_t> bytes, const char* message, Visit&& visit) {
  google::protobuf::io::CodedInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  while (stream.CurrentPosition() < static_cast<int>(bytes.size())) {
    std::uint64_t value = 0;
    if (!stream.ReadVarint64(&value)) fail_message(message);
    visit(static_cast<std::int64_t>(value));
  }
}

// "FLOAT", "INT8", ... as onnx.proto names them; the number if it does not.
std::string element_type_name(std::int64_t type);

}  // namespace coppice::onnx_wire
