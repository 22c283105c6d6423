#pragma once
// The loops of one instruction set, which the including file names.

#include "kernels/integer/blocks.inc.h"
#include "kernels/integer/bytes.inc.h"
#include "kernels/integer/depthwise.inc.h"
#include "kernels/integer/norm.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): registers.inc.h says why.
namespace coppice::kernels {

extern const IntegerKernels COPPICE_INTEGER_TABLE;
const IntegerKernels COPPICE_INTEGER_TABLE = {.isa = COPPICE_INTEGER_ISA,
                                              .product = product,
                                              .byte_product = kByteProduct,
                                              .block_product = block_product,
                                              .depthwise_product = depthwise_product,
                                              .float_product = float_product,
                                              .affine = affine,
                                              .moments = moments,
                                              .quantize = quantize};

}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
