#include "deploy/runtime/body.h"

#include <zlib.h>

#include <memory>   // for unique_ptr
#include <utility>  // for move

#include "deploy/runtime/error.h"

namespace coppice::runtime {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int kRaw = -MAX_WBITS;  // no zlib header and checksum: the file has a digest
// Codes of weights hardly repeat, so matches that save little cost more than they bring; texts and
// zeros do repeat. Z_HUFFMAN_ONLY was never the shortest.
constexpr int kStrategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED};

// A stream that zlib has set up, and what takes it down again.
using OpenStream = std::unique_ptr<z_stream, int (*)(z_stream*)>;

OpenStream opened(int status, z_stream& stream, int (*end)(z_stream*)) {
  if (status != Z_OK) fail("zlib ", zlibVersion(), ": ", zError(status));
  return {&stream, end};
}

z_stream stream_of(std::span<const std::uint8_t> from, Bytes& into) {
  z_stream stream{};
  stream.next_in = const_cast<Bytef*>(from.data());  // which zlib only reads
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = into.data();
  stream.avail_out = static_cast<uInt>(into.size());
  return stream;
}

// Empty unless the stream is shorter than `body`.
Bytes deflated(const Bytes& body, int strategy) {
  Bytes out(body.size());
  z_stream stream = stream_of(body, out);
  const OpenStream open =
      opened(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kRaw, MAX_MEM_LEVEL, strategy),
             stream, deflateEnd);
  const bool is_shorter = deflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out > 0;
  out.resize(is_shorter ? stream.total_out : 0);
  return out;
}

Bytes inflated(std::span<const std::uint8_t> bytes, std::size_t length) {
  if (length <= bytes.size() || length > kMostExpansion * bytes.size()) {
    fail("body: ", length, " bytes, but a deflate stream of ", bytes.size(),
         " stands for at least ", bytes.size() + 1, " and at most ", kMostExpansion * bytes.size());
  }
  Bytes out(length);
  z_stream stream = stream_of(bytes, out);
  const OpenStream open = opened(inflateInit2(&stream, kRaw), stream, inflateEnd);
  const int status = inflate(&stream, Z_FINISH);
  if (status == Z_STREAM_END) {
    if (stream.avail_out > 0) fail("body: expected ", length, " bytes, got ", stream.total_out);
    if (stream.avail_in > 0) fail("body: ", stream.avail_in, " bytes after the deflate stream");
    return out;
  }
  if (status != Z_BUF_ERROR)
    fail("body: not a deflate stream: ", stream.msg != nullptr ? stream.msg : zError(status));
  if (stream.avail_out == 0) fail("body: the deflate stream does not end at ", length, " bytes");
  fail("body: expected ", length, " bytes, got a deflate stream cut after ", stream.total_out);
}

}  // namespace

EncodedBody encode_body(Bytes body) {
  if (body.size() > kMaxBodyBytes)
    fail("body: expected at most ", kMaxBodyBytes, " bytes, got ", body.size());
  Bytes shortest;
  for (const int strategy : kStrategies) {
    Bytes stream = deflated(body, strategy);
    if (!stream.empty() && (shortest.empty() || stream.size() < shortest.size()))
      shortest = std::move(stream);
  }
  if (shortest.empty()) return {BodyEncoding::kStored, std::move(body)};
  return {BodyEncoding::kDeflate, std::move(shortest)};
}

Bytes decode_body(std::uint8_t encoding, std::size_t length, std::span<const std::uint8_t> bytes) {
  if (length > kMaxBodyBytes)
    fail("body: expected at most ", kMaxBodyBytes, " bytes, got ", length);
  if (encoding == static_cast<std::uint8_t>(BodyEncoding::kDeflate)) return inflated(bytes, length);
  if (encoding != static_cast<std::uint8_t>(BodyEncoding::kStored))
    fail("body: expected encoding 0 or 1, got ", int{encoding});
  if (bytes.size() != length) fail("body: expected ", length, " bytes, got ", bytes.size());
  return {bytes.begin(), bytes.end()};
}

}  // namespace coppice::runtime
