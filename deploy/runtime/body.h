#pragma once
// The body of a .cpk in its two forms: as it is, or as one raw deflate stream (RFC 1951). Pure
// functions; any thread. Internal.

#include <cstdint>  // for uint8_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice::runtime {

enum class BodyEncoding : std::uint8_t { kStored = 0, kDeflate = 1 };

// As large as the weights of one node can be (inference.h), in fp32.
constexpr std::size_t kMaxBodyBytes = std::size_t{1} << 30;

// What a byte of a deflate stream stands for at most: one bit for a length of 258 bytes and one for
// its distance.
constexpr std::size_t kMostExpansion = 1032;

struct EncodedBody {
  BodyEncoding encoding = BodyEncoding::kStored;
  std::vector<std::uint8_t> bytes;
};

// The shorter form; stored if both are as long. The same bytes come out of the same body and
// version of zlib. Throws ModelError above kMaxBodyBytes.
EncodedBody encode_body(std::vector<std::uint8_t> body);

// The body of `length` bytes that `bytes` stand for, all of them. Hostile bytes are expected: at
// most `length` bytes are allocated, and not before `bytes` are known to be enough for them.
// Throws ModelError.
std::vector<std::uint8_t> decode_body(std::uint8_t encoding, std::size_t length,
                                      std::span<const std::uint8_t> bytes);

}  // namespace coppice::runtime
