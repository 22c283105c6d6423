#pragma once
// The order of work and who shares memory with whom: what the interpreter decides before it has an
// arena. Pure function. Internal.

#include <vector>  // for vector

#include "deploy/runtime/inference.h"
#include "deploy/runtime/planner.h"
#include "deploy/runtime/program.h"

namespace coppice::runtime {

struct Schedule {
  // For every node: the node whose output it computes (itself, or the relu that is folded into it),
  // or -1 if the node is that relu.
  std::vector<int> produces;
  // For every node: the one that is computed together with it, a strip of rows at a time, and alone
  // reads its output, which is not stored; or -1. Of depthwise convolutions before pointwise ones,
  // with Folding::kAll, where it takes less memory.
  std::vector<int> fused_into;
  // For every node: the storage of its output; -1 for a node that is folded into the next. Several
  // nodes may share one: those that change nothing, and elementwise ones that overwrite an input
  // which nobody else needs.
  std::vector<int> storage;
  std::vector<LiveTensor> storages;  // steps are node indices
};

// What a relu that puts its input on a grid is folded into: products of integers (interpreter.h
// says what that means for the numbers), or also norms of images and sums in fp32, where it changes
// none.
enum class Folding { kProducts, kAll };

// `shares` is false for an interpreter that keeps all tensors.
Schedule make_schedule(const Program& program, const Inference& inference, bool shares,
                       Folding folding = Folding::kProducts);

}  // namespace coppice::runtime
