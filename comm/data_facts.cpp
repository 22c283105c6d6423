#include "comm/data_facts.h"

#include <algorithm>  // for equal

#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void check(const DataFacts& facts) {
  if (facts.train_samples < 1 || facts.train_samples > kMostSamples) {
    throw WireError(text("data facts: expected 1 to ", kMostSamples, " training samples, got ",
                         facts.train_samples));
  }
  if (facts.validation_labels < 0 || facts.validation_labels > kMostSamples) {
    throw WireError(text("data facts: expected 0 to ", kMostSamples, " held-out labels, got ",
                         facts.validation_labels));
  }
  if (facts.class_counts.empty()) return;
  std::int64_t left = facts.train_samples;
  for (const std::int64_t count : facts.class_counts) {
    if (count < 0 || count > left) throw WireError("data facts: counts of classes do not add up");
    left -= count;
  }
  if (left != 0) throw WireError("data facts: counts of classes do not add up");
}

}  // namespace

std::vector<std::uint8_t> data_question() {
  std::vector<std::uint8_t> out;
  begin_frame(out);
  finish_frame(FrameType::kDataQuestion, out);
  return out;
}

bool is_data_question(std::span<const std::uint8_t> frame) {
  return std::ranges::equal(frame, data_question());
}

std::vector<std::uint8_t> encode_data_facts(const DataFacts& facts) {
  std::vector<std::uint8_t> out;
  begin_frame(out);
  WireWriter payload(out);
  payload.i64(facts.train_samples);
  payload.i64(facts.validation_labels);
  payload.int64s(facts.class_counts);
  finish_frame(FrameType::kDataFacts, out);
  return out;
}

DataFacts decode_data_facts(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kDataFacts, frame), "data facts");
  DataFacts facts;
  facts.train_samples = in.i64();
  facts.validation_labels = in.i64();
  facts.class_counts = in.int64s();
  in.expect_end();
  check(facts);
  return facts;
}

}  // namespace coppice
