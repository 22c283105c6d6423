// The integer loops for avx2; the build compiles this file with that instruction set's flags.
#define COPPICE_INTEGER_TABLE kAvx2IntegerKernels
#define COPPICE_INTEGER_ISA "avx2"
#include "kernels/integer/table.inc.h"
