// 8-bit codes: comm/codecs/block_codec.h.

#include "comm/codecs/block_codec.h"

namespace coppice {

std::unique_ptr<Codec> make_int8_codec(const CodecOptions& /*options*/) {
  return std::make_unique<BlockCodec>("int8", FrameType::kInt8Update, 8);
}

}  // namespace coppice
