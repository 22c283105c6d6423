// The same codes as qsgd. How many levels a client has in a round is what the coordinator decides
// (coordinator/uplink.h).

#include "comm/codecs/level_codec.h"

namespace coppice {

std::unique_ptr<Codec> make_dadaquant_codec(const CodecOptions& options) {
  return std::make_unique<LevelCodec>("dadaquant", FrameType::kDadaquantUpdate, options);
}

}  // namespace coppice
