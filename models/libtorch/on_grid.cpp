#include "models/libtorch/on_grid.h"

#include <ATen/ops/hardtanh.h>

namespace coppice::libtorch {

at::Tensor on_grid(const NodeGrid& grid, const at::Tensor& values) {
  // hardtanh has the gradient that is wanted and keeps its input for it, not its output, which can
  // be overwritten. ATen's fake_quantize makes more passes, and multiplies by 1 / scale.
  at::Tensor out =
      at::hardtanh(values, grid.scale * (grid.lowest - 0.5F), grid.scale * (grid.highest + 0.5F));
  auto* data = out.mutable_data_ptr<float>();
  to_grid(data, data, out.numel(), grid);
  return out;
}

}  // namespace coppice::libtorch
