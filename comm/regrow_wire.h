#pragma once
// The part of a task's frame that asks for mask ballots, and grids as all parts have them. Reading
// throws WireError for bytes that writing did not make. Pure functions.

#include <optional>  // for optional

#include "comm/wire.h"
#include "core/exact_sum.h"
#include "core/regrow_request.h"

namespace coppice {

void write_grid(WireWriter& out, GridSpec grid);
GridSpec read_grid(WireReader& in);

void write_regrow(WireWriter& out, const std::optional<RegrowRequest>& regrow);
// Counts that no layer can have, and layers of more than 2^31 weights together, are refused.
std::optional<RegrowRequest> read_regrow(WireReader& in);

}  // namespace coppice
