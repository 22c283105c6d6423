#pragma once
// Whether a client's samples are such as a quantized model was made for. A grid saturates: values
// that are not finite, or absurdly large, become its first or last code and look like any others,
// so that a client whose fp32 training would end in NaN seems harmless in the quantized rounds.
// Pure; any thread.

#include "core/graph.h"
#include "core/quant_plan.h"
#include "core/task.h"
#include "models/executor.h"

namespace coppice {

// How many times the width of the grid a value may be away from its middle.
inline constexpr double kWidestInput = 1000.0;

// Reads all of `source` (fp32 samples of the input of `graph`): kNotFinite if a value is not,
// kOutOfRange if one lies further from the grid that `plan` gives the input, or its normalisation,
// than any client's samples that the grid was chosen from could. kNone otherwise, and where neither
// has a grid.
RefusalReason hidden_by_grid(const Graph& graph, const QuantPlan& plan, const SampleSource& source);

}  // namespace coppice
