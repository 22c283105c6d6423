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
constexpr std::size_t kBodyAt = 11;
constexpr std::size_t kSealBytes = 32;

// The digest of what stands before it, made right again.
inline Bytes sealed(Bytes bytes) {
  const std::size_t content = bytes.size() - kSealBytes;
  const auto digest = sha256(std::span(bytes).first(content));
  std::copy(digest.begin(), digest.end(), bytes.begin() + static_cast<std::ptrdiff_t>(content));
  return bytes;
}

inline std::span<const std::uint8_t> encoded_body(std::span<const std::uint8_t> file) {
  return file.subspan(kBodyAt, file.size() - kBodyAt - kSealBytes);
}

inline std::uint32_t stated_length(std::span<const std::uint8_t> file) {
  std::uint32_t length = 0;
  std::memcpy(&length, file.data() + kLengthAt, sizeof length);
  return length;
}

inline Bytes body_of(std::span<const std::uint8_t> file) {
  return decode_body(file[kEncodingAt], stated_length(file), encoded_body(file));
}

// A file that says of `body` what it is told to, true or not, under a digest that is right.
inline Bytes file_of(BodyEncoding encoding, std::uint32_t length, const Bytes& body) {
  Bytes file{'C', 'P', 'K', 'M', kCpkVersion, 0, static_cast<std::uint8_t>(encoding)};
  file.resize(kBodyAt);
  std::memcpy(file.data() + kLengthAt, &length, sizeof length);
  file.insert(file.end(), body.begin(), body.end());
  file.resize(file.size() + kSealBytes);
  return sealed(std::move(file));
}

inline Bytes stored_file(const Bytes& body) {
  return file_of(BodyEncoding::kStored, static_cast<std::uint32_t>(body.size()), body);
}

// In the shorter form, as a writer does.
inline Bytes file_of(const Bytes& body) {
  const EncodedBody encoded = encode_body(body);
  return file_of(encoded.encoding, static_cast<std::uint32_t>(body.size()), encoded.bytes);
}

}  // namespace coppice::runtime
