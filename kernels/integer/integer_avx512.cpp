// The integer loops for avx512; the build compiles this file with that instruction set's flags.
#define COPPICE_INTEGER_TABLE kAvx512IntegerKernels
#define COPPICE_INTEGER_ISA "avx512"
#include "kernels/integer/table.inc.h"
