#pragma once
// What may enter the sum. A client's update is refused before anything is added: by the client's
// own numbers and the task alone, so that the decision is the same wherever it is made. Pure
// functions.

#include "core/task.h"

namespace coppice {

// kNone if an update of `norm` may be encoded: finite, and not above the task's bound if there is
// one.
RefusalReason gate(double norm, const ClientTask& task);

}  // namespace coppice
