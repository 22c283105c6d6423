// Levels of the update's length, as many for every client and round: comm/codecs/level_codec.h.
// Rounds of several local steps make it FedPAQ (Reisizadeh et al. 2020).

#include "comm/codecs/level_codec.h"

namespace coppice {

std::unique_ptr<Codec> make_qsgd_codec(const CodecOptions& options) {
  return std::make_unique<LevelCodec>("qsgd", FrameType::kQsgdUpdate, options);
}

}  // namespace coppice
