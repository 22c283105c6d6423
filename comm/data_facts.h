#pragma once
// What a device tells of data that only it has. Byte layout: docs/wire.md. Pure functions; any
// thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

struct DataFacts {
  std::int64_t train_samples = 0;      // what the client's updates weigh
  std::int64_t validation_labels = 0;  // of its held-out samples
  // Training samples of each class; empty for data with several labels a sample.
  std::vector<std::int64_t> class_counts = {};

  friend bool operator==(const DataFacts&, const DataFacts&) = default;
};

// More than any device holds: totals of a million clients do not overflow.
inline constexpr std::int64_t kMostSamples = std::int64_t{1} << 40;

// What takes the place of a task where a device is asked for its facts: a frame without a payload.
std::vector<std::uint8_t> data_question();
bool is_data_question(std::span<const std::uint8_t> frame);

std::vector<std::uint8_t> encode_data_facts(const DataFacts& facts);
// Throws WireError for bytes that encode_data_facts() did not make, and for facts that cannot be:
// no training sample or more than kMostSamples, as many labels, counts that do not add up to the
// samples.
DataFacts decode_data_facts(std::span<const std::uint8_t> frame);

}  // namespace coppice
