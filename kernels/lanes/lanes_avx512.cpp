// The lanes' loops for AVX-512; the build compiles this file with that instruction set's flags.
#define COPPICE_LANES 16
#define COPPICE_LANE_TABLE kAvx512LaneKernels
#define COPPICE_LANE_ISA "AVX512"
#include "kernels/lanes/isa.inc.h"
