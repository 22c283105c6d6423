#include "comm/client_answer.h"

#include <algorithm>  // for all_of
#include <utility>    // for move

#include "comm/messages.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::uint64_t kMostFrames = 8;  // more than a task has sums
constexpr std::size_t kLongestName = 32;

}  // namespace

std::int64_t ClientAnswer::counted_bytes() const {
  std::int64_t bytes = row_frame_bytes();
  for (const auto& [name, frame] : frames) bytes += std::ssize(frame);
  return bytes;
}

std::vector<std::uint8_t> encode_answer(const ClientAnswer& answer) {
  std::vector<std::uint8_t> out;
  begin_frame(out);
  WireWriter payload(out);
  payload.bytes(encode_rows({&answer.row, 1}));
  payload.u64(answer.frames.size());
  for (const auto& [name, frame] : answer.frames) {
    payload.text(name);
    payload.bytes(frame);
  }
  finish_frame(FrameType::kAnswer, out);
  return out;
}

ClientAnswer decode_answer(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kAnswer, frame), "answer");
  const std::vector<ClientRow> rows = decode_rows(in.bytes());
  if (rows.size() != 1) throw WireError(text("answer: expected one row, got ", rows.size()));
  ClientAnswer answer{.row = rows.front()};
  const std::uint64_t count = in.u64();
  if (count > kMostFrames) throw WireError(text("answer: ", count, " frames"));
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name = in.text();
    const bool is_name =
        std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    if (name.size() > kLongestName || !is_name) throw WireError("answer: a frame without a name");
    if (!answer.frames.emplace(name, in.bytes()).second)
      throw WireError(text("answer: two frames of '", name, "'"));
  }
  in.expect_end();
  return answer;
}

}  // namespace coppice
