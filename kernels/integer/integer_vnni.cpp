// The integer loops for avx512-vnni; the build compiles this file with that instruction set's
// flags.
#define COPPICE_INTEGER_TABLE kVnniIntegerKernels
#define COPPICE_INTEGER_ISA "avx512-vnni"
#include "kernels/integer/table.inc.h"
