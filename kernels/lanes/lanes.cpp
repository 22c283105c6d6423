#include "kernels/lanes/lanes.h"

#include <array>  // for array

namespace coppice::kernels {

extern const LaneKernels kAvx512LaneKernels;
extern const LaneKernels kAvx2LaneKernels;
extern const LaneKernels kBaselineLaneKernels;

std::span<const LaneKernels* const> all_lane_kernels() {
#if defined(__x86_64__)
  static const std::array<const LaneKernels*, 3> kAll = {&kAvx512LaneKernels, &kAvx2LaneKernels,
                                                         &kBaselineLaneKernels};
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f");
  const std::span<const LaneKernels* const> all = kAll;
  return all.subspan(has_avx512 ? 0 : has_avx2 ? 1 : 2);
#else
  static const std::array<const LaneKernels*, 1> kAll = {&kBaselineLaneKernels};
  return kAll;
#endif
}

const LaneKernels& lane_kernels_for(const LaneKernels& kernels, std::int64_t samples) {
#if defined(__x86_64__)
  if (&kernels == &kAvx512LaneKernels && samples <= kAvx2LaneKernels.lanes) return kAvx2LaneKernels;
#else
  (void)samples;
#endif
  return kernels;
}

const LaneKernels& lane_kernels() { return *all_lane_kernels().front(); }

}  // namespace coppice::kernels
