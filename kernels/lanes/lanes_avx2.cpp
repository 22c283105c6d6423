// The lanes' loops for AVX2; the build compiles this file with that instruction set's flags.
#define COPPICE_LANES 8
#define COPPICE_LANE_TABLE kAvx2LaneKernels
#define COPPICE_LANE_ISA "AVX2"
#include "kernels/lanes/isa.inc.h"
