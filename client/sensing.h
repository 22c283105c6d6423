#pragma once
// A client's part in deciding how each layer is stored: it estimates how its own loss bends along
// every weight, and answers with a table of a few hundred numbers. Nothing else leaves it.

#include <cstddef>  // for size_t
#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "algorithms/channel_widths.h"
#include "core/graph.h"
#include "core/random.h"
#include "core/task.h"
#include "models/executor.h"

namespace coppice {

// Where the half-batches come from: Philox of (seed, purpose, client, round).
struct SensingDraw {
  std::uint64_t seed = 1;
  std::int64_t client = 0;
  std::int64_t round = 1;
  Purpose purpose = Purpose::kSensing;
};

// Mean gradients of the cross-entropy at `model`, without its grids and its mask, over pairs of
// disjoint half-batches, as pruners read them. As many pairs as `request` asks for and the client's
// samples give, at most 256 MiB; of fewer than 2 samples, none.
struct GradientPairs {
  std::vector<float> values;    // arena after arena
  std::int64_t half_batch = 0;  // samples
};
GradientPairs gradient_pairs(Executor& executor, const ModelView& model, const SampleSource& source,
                             const BallotRequest& request, const SensingDraw& draw);

// The diagonal of the empirical Fisher matrix of the cross-entropy at `model`, without its grids
// and its mask, one value a parameter: the mean over pairs of disjoint half-batches of
// accumulate_curvature() (algorithms/curvature.h). As many pairs as `request` asks for and the
// client's samples give; of fewer than 2 samples, zeros. Not finite where the loss is not. With
// class counts in the request, samples are drawn with replacement, a class with the probability
// that it has among all clients, at most 10 times more or less often than at this one; then the
// variance is that of a client with this mix. Throws ConfigError for labels beyond the counts.
std::vector<float> estimate_curvature(Executor& executor, const ModelView& model,
                                      const SampleSource& source, const SenseRequest& request,
                                      const SensingDraw& draw);

// The gradient of the mean cross-entropy at `model`, without its grids and its mask, one value a
// parameter: over the samples of at most `batches` pairs of halves of `half_batch`. Of fewer than 2
// samples, zeros. Not finite where the loss is not.
std::vector<float> mean_gradient(Executor& executor, const ModelView& model,
                                 const SampleSource& source, std::int64_t batches,
                                 std::int64_t half_batch, const SensingDraw& draw);

// What every candidate of a request changes in the weights of one model: the same for all clients,
// so it is made once for a task, unless it would take more than 256 MiB.
class CandidateChanges {
 public:
  // `parameters` and `request` must outlive this; parameters in the arena's layout. Throws
  // ConfigError for a parameter that the graph does not have and for candidates that there cannot
  // be.
  CandidateChanges(const Graph& graph, std::span<const float> parameters,
                   const SenseRequest& request);

  std::size_t table_size() const { return tensors_.size() * request_.candidates.size(); }

  // Adds bend_along() (algorithms/curvature.h) of every parameter and candidate, in the request's
  // order, to `table`, for one difference of mean gradients after the other: each in the arena's
  // layout, of halves of `half_batch` samples.
  void add(std::span<const float> differences, std::int64_t half_batch,
           std::span<double> table) const;

 private:
  std::vector<ParameterSpec> tensors_;  // with_block_axes() (algorithms/block_axes.h)
  std::span<const float> parameters_;
  const SenseRequest& request_;
  ChannelWidths widths_;  // of requests with candidates that have any
  // A tensor and candidate, without elements where the candidate is not for the tensor; empty: too
  // many to keep.
  std::vector<std::vector<float>> changes_;
};

// A client's table: for each parameter and candidate, in the request's order, what its loss is
// predicted to gain, the mean of bend_along() over the pairs that estimate_curvature() would take.
// Of fewer than 2 samples, zeros; zeros too for a width that the parameter cannot have
// (algorithms/channel_widths.h). Not finite where the gradients are not. Keeps up to 256 MiB of
// gradients.
std::vector<float> estimate_sensitivities(Executor& executor, const ModelView& model,
                                          const SampleSource& source, const SenseRequest& request,
                                          const CandidateChanges& changes, const SensingDraw& draw);

}  // namespace coppice
