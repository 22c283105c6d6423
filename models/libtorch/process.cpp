// What concerns the whole process rather than one executor: threads, allocator, versions.

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <malloc.h>

#include "models/executor.h"
#include "models/libtorch/executor.h"

namespace coppice {

void configure_process_for_training() {
  at::set_num_threads(1);
  // A training step frees and asks for the same tensors again and again. By default glibc returns
  // large blocks to the kernel each time, and the page faults cost 10-30 % of a small model's step.
  // 32 MiB is the largest threshold glibc accepts; a refusal only costs speed.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

std::string executor_library_version() { return "libtorch " COPPICE_LIBTORCH_VERSION; }

}  // namespace coppice

namespace coppice::libtorch {

std::string isa() { return at::get_cpu_capability(); }

}  // namespace coppice::libtorch
