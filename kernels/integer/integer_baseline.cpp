// The integer loops for baseline; the build compiles this file with that instruction set's flags.
#define COPPICE_INTEGER_TABLE kBaselineIntegerKernels
#define COPPICE_INTEGER_ISA "baseline"
#include "kernels/integer/table.inc.h"
