#pragma once
// The teacher that a rank's clients learn from: a resident executor of its own, and what it said
// about samples before. A sample's logits are always computed in the same block of its client's
// samples, so that they do not depend on which of them were asked for earlier. Owned and called by
// one thread.

#include <cstdint>   // for int64_t
#include <map>       // for map
#include <memory>    // for unique_ptr
#include <optional>  // for optional
#include <span>      // for span
#include <string>    // for string
#include <vector>    // for vector

#include "models/executor.h"

namespace coppice {

class LocalTeacher {
 public:
  // `parameters` in the arena layout of `graph`.
  LocalTeacher(std::string_view executor_name, Graph graph, std::vector<float> parameters);

  // What `client`'s samples, those of `source`, get; `source` must outlive the result. `feature`
  // names the node whose outputs are asked for, or is empty. Throws ConfigError for an unknown one.
  Teacher for_client(std::int64_t client, const SampleSource& source, const std::string& feature);

  // With what it remembers of one client of so many samples; nothing: its executor does not know.
  std::optional<std::int64_t> memory_bytes(std::int64_t samples) const;

 private:
  // Logits of a client's samples, block after block; a block that is not there yet is empty.
  using Blocks = std::vector<std::vector<float>>;

  std::vector<float> infer_block(const SampleSource& source, std::int64_t block);
  void logits(std::int64_t client, const SampleSource& source,
              std::span<const std::int64_t> indices, std::span<float> out);
  std::vector<float> gather(const SampleSource& source, std::span<const std::int64_t> indices);

  std::unique_ptr<Executor> executor_;
  std::vector<float> parameters_;
  std::int64_t sample_size_;
  std::int64_t logits_per_sample_;
  std::map<std::int64_t, Blocks> known_;  // by client
  std::int64_t known_floats_ = 0;
};

}  // namespace coppice
