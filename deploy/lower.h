#pragma once
// From a checkpoint to what the runtime executes: parameters become the codes of the quantization
// plan, nodes keep their names and order. Pure functions; any thread.

#include "core/checkpoint.h"
#include "deploy/runtime/program.h"

namespace coppice {

// The program of `checkpoint`; masked parameters are zero, a checkpoint without a plan gives an
// fp32 program. Weights lie as layout_choice.h chooses without a table. Name and properties are the
// caller's to fill in: they cost bytes. Throws
// ConfigError naming the node for an operation that the runtime does not have and for a plan that
// puts a grid on a node that only moves values; DataError for parameters that are not finite or a
// bias beyond 31 bits; runtime::ModelError for sizes beyond the runtime's limits.
runtime::Program lower(const Checkpoint& checkpoint);

// The same with weights in rows, for who chooses by a table (with_chosen_layouts()).
runtime::Program lower_in_rows(const Checkpoint& checkpoint);

}  // namespace coppice
