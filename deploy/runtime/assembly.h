#pragma once
// What the interpreter and the engine are put together from. Internal.

#include <cstddef>  // for byte
#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/schedule.h"
#include "deploy/runtime/step.h"

namespace coppice::runtime {

// Node `index`, which writes the output of node `output`: itself or the relu that is folded into
// it. Tensors and memory are still missing.
Step prepared_step(const Program& program, const Inference& inference, std::size_t index,
                   std::size_t output);

// One a node, at its place in `arena`; without memory if it is folded into the next.
std::vector<Tensor> placed_tensors(const Inference& inference, const Schedule& schedule,
                                   const ArenaPlan& plan, std::span<std::byte> arena);

// Throws ModelError unless the caller's spans are as long as the model's.
void check_counts(std::size_t sample, std::int64_t sample_size, std::size_t logits,
                  std::int64_t logit_count);

}  // namespace coppice::runtime
