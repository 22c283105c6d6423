// libFuzzer target of the codecs' decoders; not part of the build. The first two bytes choose
// codec, options and number of values, the rest is the payload of a frame whose checksum is right.
// From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined tests/fuzz/codec_fuzz.cpp
//     comm/codec.cpp comm/wire.cpp comm/codecs/*.cpp core/crc32c.cpp core/digest.cpp
//     core/random.cpp core/text.cpp kernels/code_stream.cpp kernels/codes.cpp
//     kernels/hadamard.cpp kernels/lloyd_max.cpp kernels/top_k.cpp -o /tmp/codec_fuzz
//   /tmp/codec_fuzz -max_len=4096
// No corpus is needed: lengths and counts that fit are found within seconds.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/codec.h"
#include "comm/wire.h"
#include "core/error.h"

namespace {

struct Case {
  const char* name;
  coppice::FrameType type;
  coppice::CodecOptions options;
};
const Case kCases[] = {{"dense", coppice::FrameType::kDenseUpdate, {}},
                       {"int8", coppice::FrameType::kInt8Update, {}},
                       {"int4", coppice::FrameType::kInt4Update, {}},
                       {"rotated", coppice::FrameType::kRotatedUpdate, {.bits = 1}},
                       {"rotated", coppice::FrameType::kRotatedUpdate, {.bits = 5}},
                       {"rotated", coppice::FrameType::kRotatedUpdate, {.max_bytes = 1 << 20}},
                       {"qsgd", coppice::FrameType::kQsgdUpdate, {.levels = 3}},
                       {"dadaquant", coppice::FrameType::kDadaquantUpdate, {.levels = 65536}},
                       {"stc", coppice::FrameType::kStcUpdate, {.fraction = 0.1}},
                       {"topk", coppice::FrameType::kTopKUpdate, {.fraction = 0.1}},
                       {"topk", coppice::FrameType::kTopKUpdate, {.fraction = 1.0}}};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace coppice;
  if (size < 2) return 0;
  const Case& chosen = kCases[bytes[0] % std::size(kCases)];
  std::vector<float> values(std::size_t{bytes[1]} * (bytes[1] < 128 ? 1 : 9));
  // Counts stand first in every payload: filled in, so that what follows is reached.
  std::vector<std::uint8_t> payload;
  WireWriter(payload).u64(values.size());
  payload.insert(payload.end(), bytes + 2, bytes + size);
  std::vector<std::uint8_t> frame;
  write_frame(chosen.type, payload, frame);
  const auto codec = make_codec(chosen.name, chosen.options);
  try {
    codec->decode(frame, values);
  } catch (const WireError&) {
    return 0;
  }
  for (const float value : values) {
    if (!std::isfinite(value)) __builtin_trap();
  }
  codec->encode(values, {}, frame);
  codec->decode(frame, values);
  return 0;
}
