#include <cuda_runtime.h>

#include <algorithm>  // for min

#include "kernels/cuda/axpy.h"

namespace coppice::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 4096;  // the loop strides over the rest

__global__ void axpy_kernel(std::int64_t n, float a, const float* __restrict__ x,
                            float* __restrict__ y) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride) {
    // Two roundings, as on the host.
    y[i] = __fadd_rn(y[i], __fmul_rn(a, x[i]));
  }
}

}  // namespace

int axpy_cuda(std::int64_t n, float a, const float* x, float* y, void* stream) {
  if (n <= 0) return static_cast<int>(cudaSuccess);
  const auto blocks =
      static_cast<unsigned>(std::min<std::int64_t>((n + kThreads - 1) / kThreads, kMaxBlocks));
  axpy_kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(n, a, x, y);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace coppice::kernels
