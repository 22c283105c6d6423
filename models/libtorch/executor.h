#pragma once
// The reference executor: every operation and loss term through LibTorch's autograd on the CPU.

#include <memory>  // for unique_ptr
#include <string>  // for string

#include "models/executor.h"

namespace coppice::libtorch {

std::unique_ptr<Executor> make_libtorch_executor(Graph graph);

// The instruction set that LibTorch dispatches to: "AVX512".
std::string isa();

}  // namespace coppice::libtorch
