#include "comm/model_delta.h"

#include <algorithm>   // for transform
#include <functional>  // for minus
#include <optional>    // for optional

#include "comm/wire.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

// The places that the mask keeps; nothing: all.
std::optional<IndexMap> kept_places(const Mask& mask) {
  if (mask.size() == 0) return std::nullopt;
  return IndexMap::kept_by(mask);
}

void write_mask(WireWriter& out, const Mask& mask) {
  out.u64(static_cast<std::uint64_t>(mask.size()));
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(mask.size() + 7) / 8);
  for (const std::int64_t i : mask.kept_indices())
    bits[static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(1U << (i % 8));
  out.bytes(bits);
}

Mask read_mask(WireReader& in, std::size_t parameters) {
  const std::uint64_t size = in.u64();
  const std::vector<std::uint8_t> bits = in.bytes();
  if ((size != 0 && size != parameters) || bits.size() != (size + 7) / 8) {
    throw WireError(text("model delta: expected a mask of ", parameters, " bits, got ", size,
                         " in ", bits.size(), " bytes"));
  }
  Mask mask(static_cast<std::int64_t>(size), false);
  for (std::size_t i = 0; i < 8 * bits.size(); ++i) {
    if ((bits[i / 8] >> (i % 8) & 1U) == 0) continue;
    if (i >= size) throw WireError(text("model delta: a bit past the ", size, " of the mask"));
    mask.set(static_cast<std::int64_t>(i), true);
  }
  return mask;
}

}  // namespace

std::vector<std::uint8_t> encode_delta(const HeldModel& held, const HeldModel& now,
                                       const std::string& plan_json, const Codec& codec,
                                       const RandomKey& key) {
  if (held.parameters.size() != now.parameters.size()) {
    throw ConfigError(text("model delta: ", now.parameters.size(), " parameters, clients hold ",
                           held.parameters.size()));
  }
  std::vector<float> difference(now.parameters.size());
  std::ranges::transform(now.parameters, held.parameters, difference.begin(), std::minus<>());
  if (const std::optional<IndexMap> kept = kept_places(now.mask))
    difference = kept->gather(difference);
  std::vector<std::uint8_t> update;
  codec.encode(difference, key, update);
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  out.text(plan_json);
  const bool has_mask = now.mask != held.mask;
  out.u8(has_mask ? 1 : 0);
  if (has_mask) write_mask(out, now.mask);
  out.bytes(update);
  finish_frame(FrameType::kModelDelta, frame);
  return frame;
}

std::string receive_delta(std::span<const std::uint8_t> frame, const Codec& codec,
                          HeldModel& held) {
  WireReader in(read_frame(FrameType::kModelDelta, frame), "model delta");
  std::string plan_json = in.text();
  const std::uint8_t has_mask = in.u8();
  if (has_mask > 1) throw WireError("model delta: expected 0 or 1 masks");
  Mask mask = has_mask == 1 ? read_mask(in, held.parameters.size()) : held.mask;
  const std::vector<std::uint8_t> update = in.bytes();
  in.expect_end();
  const std::optional<IndexMap> kept = kept_places(mask);
  std::vector<float> difference(kept ? static_cast<std::size_t>(kept->new_size())
                                     : held.parameters.size());
  codec.decode(update, difference);
  if (kept) difference = kept->scatter(difference);
  held.mask = std::move(mask);
  for (std::size_t i = 0; i < difference.size(); ++i) held.parameters[i] += difference[i];
  if (held.mask.size() > 0) held.mask.apply(held.parameters);
  return plan_json;
}

}  // namespace coppice
