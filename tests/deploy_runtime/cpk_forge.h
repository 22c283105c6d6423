#pragma once
// A .cpk taken apart and put together again, for tests that damage what stands below the digest.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "deploy/runtime/body.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/sha256.h"

namespace coppice::runtime {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kEncodingAt = 6;  // after magic and version
constexpr std::size_t kLengthAt = 7;
constexpr std::size_t kCodedAt = 11;
constexpr std::size_t kBodyAt = 15;
constexpr std::size_t kSealBytes = 32;

// The digest of what stands before it, made right again.
inline Bytes sealed(Bytes bytes) {
  const std::size_t content = bytes.size() - kSealBytes;
  const auto digest = sha256(std::span(bytes).first(content));
  std::copy(digest.begin(), digest.end(), bytes.begin() + static_cast<std::ptrdiff_t>(content));
  return bytes;
}

inline std::uint32_t u32_at(std::span<const std::uint8_t> file, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

inline std::uint32_t stated_length(std::span<const std::uint8_t> file) {
  return u32_at(file, kLengthAt);
}

// The streams of coded weights, and the body before them.
inline Bytes streams_of(std::span<const std::uint8_t> file) {
  const auto before_seal = file.first(file.size() - kSealBytes);
  const auto streams = before_seal.last(u32_at(file, kCodedAt));
  return {streams.begin(), streams.end()};
}

inline std::span<const std::uint8_t> encoded_body(std::span<const std::uint8_t> file) {
  return file.subspan(kBodyAt, file.size() - kBodyAt - kSealBytes - u32_at(file, kCodedAt));
}

inline Bytes body_of(std::span<const std::uint8_t> file) {
  return decode_body(file[kEncodingAt], stated_length(file), encoded_body(file));
}

// A file that says of `body` what it is told to, true or not, under a digest that is right.
inline Bytes file_of(BodyEncoding encoding, std::uint32_t length, const Bytes& body,
                     const Bytes& streams = {}) {
  Bytes file{'C', 'P', 'K', 'M', kCpkVersion, 0, static_cast<std::uint8_t>(encoding)};
  file.resize(kBodyAt);
  std::memcpy(file.data() + kLengthAt, &length, sizeof length);
  const auto coded = static_cast<std::uint32_t>(streams.size());
  std::memcpy(file.data() + kCodedAt, &coded, sizeof coded);
  file.insert(file.end(), body.begin(), body.end());
  file.insert(file.end(), streams.begin(), streams.end());
  file.resize(file.size() + kSealBytes);
  return sealed(std::move(file));
}

inline Bytes stored_file(const Bytes& body, const Bytes& streams = {}) {
  return file_of(BodyEncoding::kStored, static_cast<std::uint32_t>(body.size()), body, streams);
}

// In the shorter form, as a writer does.
inline Bytes file_of(const Bytes& body, const Bytes& streams = {}) {
  const EncodedBody encoded = encode_body(body);
  return file_of(encoded.encoding, static_cast<std::uint32_t>(body.size()), encoded.bytes, streams);
}

}  // namespace coppice::runtime
