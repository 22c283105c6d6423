#pragma once
// What every operation of a program has to compute and to move for one sample, whoever runs it:
// what its time is set against. Pure.

#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "deploy/runtime/program.h"

namespace coppice::runtime {

struct NodeWork {
  // Of a conv2d or linear; those with padding count, and those with blocks of zeros that are
  // skipped.
  std::int64_t multiply_adds = 0;
  // Each once: parameters as they are used (a byte a code, of 4 bits too; four a value, a bias or a
  // multiplier), inputs and output.
  std::int64_t bytes = 0;
  bool is_integer = false;  // multiply-adds of codes
  // Computed with the node before, which writes its output; or, of a depthwise convolution, with
  // the pointwise one behind, which then has the work of both.
  bool is_folded = false;
};

// One a node. Throws ModelError for a program that is not valid.
std::vector<NodeWork> work_by_node(const Program& program);

}  // namespace coppice::runtime
