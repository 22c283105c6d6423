#include "client/outcomes.h"

#include <algorithm>  // for all_of, max_element, min
#include <cmath>      // for isfinite
#include <numeric>    // for iota
#include <span>       // for span
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void add_answers(std::span<const float> logits, std::span<const std::int32_t> labels,
                 RightAnswers& out) {
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> of_label = logits.subspan(i * classes, classes);
    const bool is_finite =
        std::ranges::all_of(of_label, [](float logit) { return std::isfinite(logit); });
    const auto top = std::ranges::max_element(of_label) - of_label.begin();
    out.is_right.push_back(is_finite && top == labels[i]);
    out.is_finite = out.is_finite && is_finite;
  }
}

}  // namespace

RightAnswers right_answers(Executor& executor, const ModelView& model, const SampleSource& source,
                           std::int64_t labels_per_sample, std::int64_t batch_size) {
  const std::int64_t sample_size = element_count(executor.graph().input().shape);
  RightAnswers out;
  for (std::int64_t begin = 0; begin < source.size; begin += batch_size) {
    std::vector<std::int64_t> indices(
        static_cast<std::size_t>(std::min(batch_size, source.size - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<float> samples(indices.size() * static_cast<std::size_t>(sample_size));
    source.samples(indices, samples);
    std::vector<std::int32_t> labels(indices.size() * static_cast<std::size_t>(labels_per_sample));
    source.labels(indices, labels);
    add_answers(executor.infer(model, samples), labels, out);
  }
  return out;
}

LocalReference::LocalReference(std::string_view executor_name, Graph graph,
                               std::vector<float> parameters)
    : executor_(make_executor(executor_name, std::move(graph))),
      parameters_(std::move(parameters)) {}

const RightAnswers& LocalReference::answers(std::int64_t client, const SampleSource& source,
                                            std::int64_t labels_per_sample,
                                            std::int64_t batch_size) {
  const auto known = known_.find(client);
  if (known != known_.end()) return known->second;
  RightAnswers fresh =
      right_answers(*executor_, {parameters_}, source, labels_per_sample, batch_size);
  return known_.emplace(client, std::move(fresh)).first->second;
}

OutcomeCounts count_outcomes(const RightAnswers& dense, const RightAnswers& compressed) {
  if (dense.is_right.size() != compressed.is_right.size()) {
    throw ConfigError(text("gate: expected answers for ", dense.is_right.size(), " labels, got ",
                           compressed.is_right.size()));
  }
  OutcomeCounts counts;
  for (std::size_t i = 0; i < dense.is_right.size(); ++i) {
    if (dense.is_right[i]) {
      ++(compressed.is_right[i] ? counts.both : counts.only_dense);
    } else {
      ++(compressed.is_right[i] ? counts.only_compressed : counts.neither);
    }
  }
  return counts;
}

}  // namespace coppice
