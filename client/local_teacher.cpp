#include "client/local_teacher.h"

#include <algorithm>  // for copy_n, min
#include <numeric>    // for iota

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::int64_t kBlock = 64;
// Beyond it, blocks are computed whenever they are asked for.
constexpr std::int64_t kMaxKnownFloats = std::int64_t{1} << 26;

}  // namespace

LocalTeacher::LocalTeacher(std::string_view executor_name, Graph graph,
                           std::vector<float> parameters)
    : executor_(make_executor(executor_name, std::move(graph))),
      parameters_(std::move(parameters)),
      sample_size_(element_count(executor_->graph().input().shape)),
      logits_per_sample_(element_count(executor_->graph().output().shape)) {}

Teacher LocalTeacher::for_client(std::int64_t client, const SampleSource& source,
                                 const std::string& feature) {
  Teacher teacher;
  teacher.logits = [this, client, &source](std::span<const std::int64_t> indices,
                                           std::span<float> out) {
    logits(client, source, indices, out);
  };
  if (feature.empty()) return teacher;
  const int node = executor_->graph().node_named(feature);
  if (node < 0)
    throw ConfigError(text("compress.distill.feature: the teacher has no layer '", feature, "'"));
  teacher.feature_size =
      element_count(executor_->graph().nodes()[static_cast<std::size_t>(node)].shape);
  teacher.features = [this, &source, feature](std::span<const std::int64_t> indices,
                                              std::span<float> out) {
    executor_->observe({parameters_}, gather(source, indices), {&feature, 1},
                       [out](std::size_t, std::span<const float> values) {
                         std::copy(values.begin(), values.end(), out.begin());
                       });
  };
  return teacher;
}

std::optional<std::int64_t> LocalTeacher::memory_bytes(std::int64_t samples) const {
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t block = std::min(kBlock, samples);
  const std::optional<MemoryUse> use = executor_->memory({.samples = block});
  if (!use) return std::nullopt;
  const std::int64_t blocks = (samples + kBlock - 1) / kBlock;
  const std::int64_t known = std::min(samples * logits_per_sample_, kMaxKnownFloats) * kFloat;
  // A block that is asked is gathered first, and its logits are there twice.
  return use->total() + known + blocks * static_cast<std::int64_t>(sizeof(Blocks::value_type)) +
         block * (sample_size_ + 2 * logits_per_sample_) * kFloat;
}

std::vector<float> LocalTeacher::gather(const SampleSource& source,
                                        std::span<const std::int64_t> indices) {
  std::vector<float> samples(indices.size() * static_cast<std::size_t>(sample_size_));
  source.samples(indices, samples);
  return samples;
}

std::vector<float> LocalTeacher::infer_block(const SampleSource& source, std::int64_t block) {
  std::vector<std::int64_t> indices(
      static_cast<std::size_t>(std::min(kBlock, source.size - block * kBlock)));
  std::iota(indices.begin(), indices.end(), block * kBlock);
  return executor_->infer({parameters_}, gather(source, indices));
}

void LocalTeacher::logits(std::int64_t client, const SampleSource& source,
                          std::span<const std::int64_t> indices, std::span<float> out) {
  Blocks& blocks = known_[client];
  blocks.resize(static_cast<std::size_t>((source.size + kBlock - 1) / kBlock));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::int64_t number = indices[i] / kBlock;
    std::vector<float>& known = blocks[static_cast<std::size_t>(number)];
    const std::vector<float> fresh =
        known.empty() ? infer_block(source, number) : std::vector<float>();
    const auto floats = static_cast<std::int64_t>(fresh.size());
    if (floats > 0 && known_floats_ + floats <= kMaxKnownFloats) {
      known_floats_ += floats;
      known = fresh;
    }
    const std::vector<float>& block = known.empty() ? fresh : known;
    std::copy_n(block.begin() + (indices[i] % kBlock) * logits_per_sample_, logits_per_sample_,
                out.begin() + static_cast<std::ptrdiff_t>(i) * logits_per_sample_);
  }
}

}  // namespace coppice
