#pragma once
// A client's part in moving a mask: after its training it says which weights it would have, those
// that it trained to be large and those, masked so far, that its loss most wants to move.

#include <span>    // for span
#include <vector>  // for vector

#include "client/sensing.h"
#include "core/graph.h"
#include "core/regrow_request.h"
#include "models/executor.h"

namespace coppice {

// Throws ConfigError unless `request` is one for `graph` under `mask` (null or of size 0: none):
// known parameters of the sizes it says, counts that the mask has.
void check_request(const Graph& graph, const Mask* mask, const RegrowRequest& request);

// The ballot, request.weights() values of 0 or 1, of a client whose training ended with
// `trained.parameters` under `trained.mask`. The gradient is that of the cross-entropy with the
// labels alone, without proximal term or teacher, over samples drawn with `draw`. Empty where it is
// not finite: such a client has no say. What the executor's parameters() showed is gone. Throws as
// check_request() does.
std::vector<float> mask_ballot(Executor& executor, const ModelView& trained,
                               const SampleSource& source, const RegrowRequest& request,
                               const SensingDraw& draw);

}  // namespace coppice
