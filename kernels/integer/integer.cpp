#include "kernels/integer/integer.h"

#include <array>  // for array

namespace coppice::kernels {

extern const IntegerKernels kVnniIntegerKernels;
extern const IntegerKernels kAvx512IntegerKernels;
extern const IntegerKernels kAvx2IntegerKernels;
extern const IntegerKernels kBaselineIntegerKernels;

std::span<const IntegerKernels* const> all_integer_kernels() {
#if defined(__x86_64__)
  static const std::array<const IntegerKernels*, 4> kAll = {
      &kVnniIntegerKernels, &kAvx512IntegerKernels, &kAvx2IntegerKernels, &kBaselineIntegerKernels};
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
  const std::span<const IntegerKernels* const> all = kAll;
  return all.subspan(has_vnni ? 0 : has_avx512 ? 1 : has_avx2 ? 2 : 3);
#else
  static const std::array<const IntegerKernels*, 1> kAll = {&kBaselineIntegerKernels};
  return kAll;
#endif
}

}  // namespace coppice::kernels
