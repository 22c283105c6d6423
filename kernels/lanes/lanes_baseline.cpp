// The lanes' loops for baseline; the build compiles this file with that instruction set's flags.
#define COPPICE_LANES 4
#define COPPICE_LANE_TABLE kBaselineLaneKernels
#define COPPICE_LANE_ISA "baseline"
#include "kernels/lanes/isa.inc.h"
