#pragma once
// Fake quantization of a node's output, with gradients. Internal to models/libtorch.

#include <ATen/core/Tensor.h>

#include "models/fake_quant.h"

namespace coppice::libtorch {

// The nearest values of the grid (fp32 in and out); gradients as NodeGrid says.
at::Tensor on_grid(const NodeGrid& grid, const at::Tensor& values);

}  // namespace coppice::libtorch
