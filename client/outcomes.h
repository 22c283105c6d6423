#pragma once
// A client's part in the gate: it answers for its own held-out samples with the dense model and
// with the compressed one, and counts for how many labels both, one or none of them gave the right
// class. Nothing but the four counts leaves it.

#include <cstdint>      // for int64_t
#include <map>          // for map
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "algorithms/gate.h"
#include "core/graph.h"
#include "models/executor.h"

namespace coppice {

// For each label of `source`, in its order, whether `model` gives it the largest logit, the first
// of equal ones; of a label with a logit that is not finite it does not. Samples are answered for
// in batches of `batch_size` (the last may be smaller), so that the answers are a function of the
// samples alone.
struct RightAnswers {
  std::vector<bool> is_right;
  bool is_finite = true;  // whether all logits were
};
RightAnswers right_answers(Executor& executor, const ModelView& model, const SampleSource& source,
                           std::int64_t labels_per_sample, std::int64_t batch_size);

// The dense model that a rank's clients compare with: a resident executor of its own, and which of
// a client's held-out labels it had right. Owned and called by one thread.
class LocalReference {
 public:
  // `parameters` in the arena layout of `graph`. Throws KernelError if the executor cannot run it.
  LocalReference(std::string_view executor_name, Graph graph, std::vector<float> parameters);

  // As right_answers(), for `client`'s samples, always the same; computed once.
  const RightAnswers& answers(std::int64_t client, const SampleSource& source,
                              std::int64_t labels_per_sample, std::int64_t batch_size);

 private:
  std::unique_ptr<Executor> executor_;
  std::vector<float> parameters_;
  std::map<std::int64_t, RightAnswers> known_;  // by client
};

// Throws ConfigError if the two have not as many labels.
OutcomeCounts count_outcomes(const RightAnswers& dense, const RightAnswers& compressed);

}  // namespace coppice
