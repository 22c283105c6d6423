#include "models/dropout_key.h"

#include "core/random.h"

namespace coppice {

// Every (step, dropout node) has 2^32 words of the stream.
void draw_dropout_mask(const DropoutMask& mask, std::int64_t first, std::int64_t n, float* out) {
  const DropoutKey& key = mask.key;
  RandomStream stream(
      {.seed = key.seed, .purpose = Purpose::kDropout, .client = key.client, .task = key.round});
  const auto region = static_cast<std::uint64_t>(key.step * mask.count + mask.ordinal) << 32U;
  stream.seek(region + static_cast<std::uint64_t>(first));
  const auto threshold = static_cast<std::uint32_t>(mask.rate * 4294967296.0);
  for (std::int64_t i = 0; i < n; ++i) out[i] = stream.next_u32() < threshold ? 0.0F : 1.0F;
}

}  // namespace coppice
