#include "comm/messages.h"

#include "comm/message_parts.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kRowBytes = 10 * 8 + 2;
constexpr std::uint32_t kMaxBins = 1U << 22U;
constexpr std::uint32_t kMaxCount = 1U << 24U;

// u64 size, then a bit each, the first in the lowest; a length in bytes between.
template <typename IsSet>
void write_bits(WireWriter& out, std::size_t size, IsSet&& is_set) {
  std::vector<std::uint8_t> bits((size + 7) / 8);
  for (std::size_t i = 0; i < size; ++i) {
    if (is_set(i)) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << (i % 8));
  }
  out.u64(size);
  out.bytes(bits);
}

struct Bits {
  std::size_t size = 0;
  std::vector<std::uint8_t> bytes;

  bool is_set(std::size_t i) const { return ((bytes[i / 8] >> (i % 8)) & 1U) != 0; }
};

Bits read_bits(WireReader& in, const char* what) {
  const std::uint64_t size = in.u64();
  Bits bits{.size = static_cast<std::size_t>(size), .bytes = in.bytes()};
  if (size > bits.bytes.size() * 8 || bits.bytes.size() != (size + 7) / 8)
    throw WireError(text(what, ": ", size, " bits in ", bits.bytes.size(), " bytes"));
  if (size % 8 != 0 && bits.bytes.back() >> (size % 8) != 0)
    throw WireError(text(what, ": bits past its ", size));
  return bits;
}

void read_row(WireReader& in, ClientRow& row) {
  row.client = in.i64();
  row.weight = in.i64();
  row.status = read_enum(in, ClientStatus::kMissing, "status");
  row.reason = read_enum(in, RefusalReason::kNormAboveBound, "reason");
  row.loss = in.f64();
  row.correct = in.i64();
  row.labels = in.i64();
  row.samples = in.i64();
  row.update_norm = in.f64();
  row.seconds = in.f64();
  row.bytes_up = in.i64();
  row.bytes_down = in.i64();
}

}  // namespace

std::vector<std::uint8_t> encode_model(const ModelMessage& model) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  out.text(model.graph_json);
  out.text(model.plan_json);
  const Mask& mask = model.mask;
  write_bits(out, static_cast<std::size_t>(mask.size()),
             [&](std::size_t i) { return mask.keeps(static_cast<std::int64_t>(i)); });
  if (mask.size() == 0) {
    out.floats(model.parameters);
  } else {
    out.floats(IndexMap::kept_by(mask).gather(model.parameters));
  }
  finish_frame(FrameType::kModel, frame);
  return frame;
}

ModelMessage decode_model(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kModel, frame), "model");
  ModelMessage model;
  model.graph_json = in.text();
  model.plan_json = in.text();
  const Bits bits = read_bits(in, "model: mask");
  model.parameters = in.floats();
  in.expect_end();
  if (bits.size == 0) return model;
  model.mask = Mask(static_cast<std::int64_t>(bits.size), false);
  for (std::size_t i = 0; i < bits.size; ++i)
    model.mask.set(static_cast<std::int64_t>(i), bits.is_set(i));
  const IndexMap kept = IndexMap::kept_by(model.mask);
  if (kept.new_size() != std::ssize(model.parameters))
    throw WireError(
        text("model: ", model.parameters.size(), " parameters, its mask keeps ", kept.new_size()));
  model.parameters = kept.scatter(model.parameters);
  return model;
}

std::vector<std::uint8_t> encode_rows(std::span<const ClientRow> rows) {
  std::vector<std::uint8_t> frame;
  frame.reserve(kFrameHeaderBytes + sizeof(std::uint64_t) + rows.size() * kRowBytes);
  begin_frame(frame);
  WireWriter out(frame);
  out.u64(rows.size());
  for (const ClientRow& row : rows) {
    out.i64(row.client);
    out.i64(row.weight);
    out.u8(static_cast<std::uint8_t>(row.status));
    out.u8(static_cast<std::uint8_t>(row.reason));
    out.f64(row.loss);
    out.i64(row.correct);
    out.i64(row.labels);
    out.i64(row.samples);
    out.f64(row.update_norm);
    out.f64(row.seconds);
    out.i64(row.bytes_up);
    out.i64(row.bytes_down);
  }
  finish_frame(FrameType::kReport, frame);
  return frame;
}

std::int64_t row_frame_bytes() {
  return static_cast<std::int64_t>(kFrameHeaderBytes + sizeof(std::uint64_t) + kRowBytes);
}

std::vector<ClientRow> decode_rows(std::span<const std::uint8_t> frame) {
  std::vector<ClientRow> rows;
  append_rows(frame, rows);
  return rows;
}

void append_rows(std::span<const std::uint8_t> frame, std::vector<ClientRow>& rows) {
  WireReader in(read_frame(FrameType::kReport, frame), "rows");
  const std::size_t before = rows.size();
  rows.resize(before + read_count(in, kRowBytes, "rows"));
  try {
    for (ClientRow& row : std::span(rows).subspan(before)) read_row(in, row);
    in.expect_end();
  } catch (const WireError&) {
    rows.resize(before);
    throw;
  }
}

std::vector<std::uint8_t> encode_ballot(std::span<const float> ballot) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  write_bits(out, ballot.size(), [&](std::size_t i) { return ballot[i] != 0.0F; });
  finish_frame(FrameType::kBallot, frame);
  return frame;
}

std::vector<float> decode_ballot(std::span<const std::uint8_t> frame, std::size_t units) {
  WireReader in(read_frame(FrameType::kBallot, frame), "ballot");
  const Bits bits = read_bits(in, "ballot");
  in.expect_end();
  if (bits.size != units)
    throw WireError(text("ballot: expected ", units, " units, got ", bits.size));
  std::vector<float> ballot(bits.size);
  for (std::size_t i = 0; i < ballot.size(); ++i) ballot[i] = bits.is_set(i) ? 1.0F : 0.0F;
  return ballot;
}

std::vector<std::uint8_t> encode_sensitivities(std::span<const float> table) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter(frame).floats(table);
  finish_frame(FrameType::kSensitivities, frame);
  return frame;
}

std::vector<float> decode_sensitivities(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kSensitivities, frame), "sensitivities");
  std::vector<float> table = in.floats();
  in.expect_end();
  return table;
}

std::vector<std::uint8_t> encode_histograms(std::span<const float> counts) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  out.u32(static_cast<std::uint32_t>(counts.size()));
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0.0F) continue;
    out.u32(static_cast<std::uint32_t>(i));
    out.u32(static_cast<std::uint32_t>(counts[i]));
  }
  finish_frame(FrameType::kHistograms, frame);
  return frame;
}

std::vector<float> decode_histograms(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kHistograms, frame), "histograms");
  const std::uint32_t size = in.u32();
  if (size > kMaxBins) throw WireError(text("histograms: ", size, " bins, at most ", kMaxBins));
  std::vector<float> counts(size);
  std::int64_t before = -1;
  while (in.left() > 0) {
    const std::uint32_t bin = in.u32();
    const std::uint32_t count = in.u32();
    if (bin >= size || std::int64_t{bin} <= before || count == 0 || count > kMaxCount)
      throw WireError(text("histograms: count ", count, " in bin ", bin, " of ", size));
    counts[bin] = static_cast<float>(count);
    before = bin;
  }
  return counts;
}

}  // namespace coppice
