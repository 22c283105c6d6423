#pragma once
// All loops of one instruction set, as the table COPPICE_LANE_TABLE.

#include "kernels/lanes/channels.inc.h"
#include "kernels/lanes/elementwise.inc.h"
#include "kernels/lanes/group_norm.inc.h"
#include "kernels/lanes/nonzeros.inc.h"
#include "kernels/lanes/pool.inc.h"
#include "kernels/lanes/product.inc.h"
#include "kernels/lanes/registers.inc.h"
#include "kernels/lanes/saved.inc.h"
#include "kernels/lanes/weight_gradient.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {

extern const LaneKernels COPPICE_LANE_TABLE;
const LaneKernels COPPICE_LANE_TABLE = {.isa = COPPICE_LANE_ISA,
                                        .lanes = kLanes,
                                        .product = product,
                                        .weight_gradient = weight_gradient,
                                        .rows_weight_gradient = rows_weight_gradient,
                                        .channel_sums = channel_sums,
                                        .pad_columns = pad_columns,
                                        .transpose = transpose_registers,
                                        .to_rows = to_rows,
                                        .from_rows = from_rows,
                                        .normalize = normalize,
                                        .rectify = rectify,
                                        .rectify_gradient = rectify_gradient,
                                        .add = add,
                                        .multiply = multiply,
                                        .copy = copy_lanes,
                                        .divide = divide,
                                        .to_grid = to_grid,
                                        .to_grid_gradient = to_grid_gradient,
                                        .max_pool = max_pool,
                                        .max_pool_gradient = max_pool_gradient,
                                        .average_pool = average_pool,
                                        .average_pool_gradient = average_pool_gradient,
                                        .pack_between = pack_between,
                                        .pass_between = pass_between,
                                        .to_codes = to_codes,
                                        .from_codes = from_codes,
                                        .max_pool_winners = max_pool_winners,
                                        .max_pool_gradient_to = max_pool_gradient_to,
                                        .group_norm = group_norm,
                                        .group_norm_gradient = group_norm_gradient,
                                        .channels = {.pack_tiles = pack_tiles,
                                                     .pack_windows = pack_windows,
                                                     .add_lines = add_lines,
                                                     .add_windows = add_windows,
                                                     .convolve = convolve,
                                                     .convolve_and_pool = convolve_and_pool,
                                                     .line_gradient = line_gradient,
                                                     .gradient = channel_gradient,
                                                     .list_size = list_size,
                                                     .sum_rows = sum_rows}};

}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
