#pragma once
// Evaluation of the global model, shared out over ranks so that the result does not depend on how
// many there are: samples are cut into fixed batches, batch b belongs to rank b % ranks, and what a
// batch yields is added as integers.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/eval_sums.h"
#include "data/dataset.h"
#include "data/partition.h"
#include "models/executor.h"

namespace coppice {

// Which part of the work this rank does.
struct EvalShare {
  std::int64_t batch_size = 500;
  int rank = 0;
  int ranks = 1;
};

// `indices` of `split`, all of them or this rank's share.
EvalSums evaluate_share(Executor& executor, const ModelView& model, const Dataset& dataset,
                        const Split& split, std::span<const std::int64_t> indices,
                        const EvalShare& share);

// Every client's validation samples, client after client.
std::vector<std::int64_t> validation_indices(const Partition& partition);

// 0..n-1.
std::vector<std::int64_t> all_indices(const Split& split);

}  // namespace coppice
