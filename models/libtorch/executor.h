#pragma once
// The reference executor: every operation and loss term through LibTorch's autograd on the CPU.

#include <memory>  // for unique_ptr

#include "models/executor.h"

namespace coppice::libtorch {

std::unique_ptr<Executor> make_libtorch_executor(Graph graph);

}  // namespace coppice::libtorch
