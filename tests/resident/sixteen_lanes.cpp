// The loops with the widest registers' lanes, for CPUs that have narrower ones: the compiler splits
// them. What AVX-512 runs is the same source.
#define COPPICE_LANES 16
#define COPPICE_LANE_TABLE kSixteenLaneKernels
#define COPPICE_LANE_ISA "16 lanes in parts"
#include "kernels/lanes/isa.inc.h"
