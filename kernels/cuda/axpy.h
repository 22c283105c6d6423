#pragma once
// y = y + a * x on the device: how a client's update joins a device-resident accumulator. x and y
// are device memory of n floats; `stream` is a cudaStream_t (null: the default one). Returns the
// launch's cudaError_t as int, 0 for success; asynchronous. Owns nothing; any thread may call.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

int axpy_cuda(std::int64_t n, float a, const float* x, float* y, void* stream);

}  // namespace coppice::kernels
