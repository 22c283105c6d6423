#include "comm/codec.h"

#include <array>  // for to_array

#include "core/error.h"
#include "core/text.h"

namespace coppice {

#define COPPICE_CODEC(name, sentence) \
  std::unique_ptr<Codec> make_##name##_codec(const CodecOptions&);
#include "comm/codecs.def"
#undef COPPICE_CODEC

namespace {

constexpr auto kCodecs = std::to_array<CodecInfo>({
#define COPPICE_CODEC(name, sentence) {#name, sentence},
#include "comm/codecs.def"
#undef COPPICE_CODEC
});

}  // namespace

std::size_t Codec::round_trip(std::span<const float> values, const RandomKey& key,
                              std::span<float> out, std::vector<std::uint8_t>& scratch) const {
  encode(values, key, scratch);
  decode(scratch, out);
  return scratch.size();
}

std::span<const CodecInfo> known_codecs() { return kCodecs; }

std::unique_ptr<Codec> make_codec(std::string_view name, const CodecOptions& options) {
  if (options.bits < 1 || options.bits > 8)
    throw ConfigError(text("codec ", name, ": expected 1 to 8 bits, got ", options.bits));
  if (!(options.fraction > 0.0 && options.fraction <= 1.0)) {
    throw ConfigError(text("codec ", name, ": expected a fraction above 0 and at most 1, got ",
                           options.fraction));
  }
  if (options.levels < 1 || options.levels > kMostLevels) {
    throw ConfigError(
        text("codec ", name, ": expected 1 to ", kMostLevels, " levels, got ", options.levels));
  }
  if (options.max_bytes < 0)
    throw ConfigError(
        text("codec ", name, ": expected at least 0 bytes a frame, got ", options.max_bytes));
#define COPPICE_CODEC(known, sentence) \
  if (name == #known) return make_##known##_codec(options);
#include "comm/codecs.def"
#undef COPPICE_CODEC
  std::vector<std::string_view> names;
  names.reserve(kCodecs.size());
  for (const CodecInfo& codec : kCodecs) names.push_back(codec.name);
  throw ConfigError(unknown_name("codec", name, names));
}

}  // namespace coppice
