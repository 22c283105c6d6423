// 4-bit codes: comm/codecs/block_codec.h.

#include "comm/codecs/block_codec.h"

namespace coppice {

std::unique_ptr<Codec> make_int4_codec(const CodecOptions& /*options*/) {
  return std::make_unique<BlockCodec>("int4", FrameType::kInt4Update, 4);
}

}  // namespace coppice
