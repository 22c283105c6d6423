#include "comm/edge_step.h"

#include <array>         // for array
#include <charconv>      // for from_chars
#include <iterator>      // for ssize
#include <system_error>  // for errc

#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::string_view kNodePrefix = "client-";

// In the order of their bytes; `Setup` is an EdgeSetup, const or not.
template <typename Setup>
auto texts_of(Setup& setup) {
  return std::array{&setup.config,      &setup.version,       &setup.executor,   &setup.isa,
                    &setup.data_sha256, &setup.sample_format, &setup.label_names};
}

}  // namespace

std::vector<std::uint8_t> encode_edge_step(const EdgeStep& step) {
  std::vector<std::uint8_t> out;
  begin_frame(out);
  WireWriter payload(out);
  payload.u8(step.setup ? 1 : 0);
  if (step.setup) {
    for (const std::string* one : texts_of(*step.setup)) payload.text(*one);
    payload.i64(step.setup->classes);
    payload.i64(step.setup->vocabulary);
  }
  payload.bytes(step.model_frame);
  payload.i64(step.model_bytes);
  payload.i64(step.model_number);
  payload.u64(step.changes.size());
  for (const std::vector<std::uint8_t>& frame : step.changes) payload.bytes(frame);
  payload.bytes(step.teacher_frame);
  payload.bytes(step.reference_frame);
  finish_frame(FrameType::kEdgeStep, out);
  return out;
}

EdgeStep decode_edge_step(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kEdgeStep, frame), "edge step");
  EdgeStep step;
  const std::uint8_t has_setup = in.u8();
  if (has_setup > 1) throw WireError(text("edge step: expected 0 or 1, got ", int{has_setup}));
  if (has_setup == 1) {
    step.setup.emplace();
    for (std::string* one : texts_of(*step.setup)) *one = in.text();
    step.setup->classes = in.i64();
    step.setup->vocabulary = in.i64();
  }
  step.model_frame = in.bytes();
  step.model_bytes = in.i64();
  if (step.model_bytes < 0) throw WireError(text("edge step: ", step.model_bytes, " bytes"));
  step.model_number = in.i64();
  const std::uint64_t changes = in.u64();
  for (std::uint64_t i = 0; i < changes; ++i) step.changes.push_back(in.bytes());
  // A whole model or changes to one; model -1 is none.
  const bool is_whole = step.changes.empty() && step.model_number >= -1;
  const bool is_changed = step.model_frame.empty() && step.model_number >= std::ssize(step.changes);
  if (!is_whole && !is_changed) {
    throw WireError(text("edge step: expected a model or changes to one, got ",
                         step.model_frame.size(), " bytes and ", changes, " changes to model ",
                         step.model_number));
  }
  step.teacher_frame = in.bytes();
  step.reference_frame = in.bytes();
  in.expect_end();
  return step;
}

std::string node_of_client(std::int64_t client) { return text(kNodePrefix, client); }

std::optional<std::int64_t> client_of_node(std::string_view node) {
  if (!node.starts_with(kNodePrefix)) return std::nullopt;
  const std::string_view digits = node.substr(kNodePrefix.size());
  std::int64_t client = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), client);
  if (error != std::errc() || end != digits.end() || node != node_of_client(client))
    return std::nullopt;
  return client < 0 ? std::nullopt : std::optional(client);
}

}  // namespace coppice
