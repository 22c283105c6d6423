#pragma once
// What may enter the sum. A client's update is refused before anything is added: by the client's
// own numbers and the task alone, so that the decision is the same wherever it is made. Pure
// functions.

#include <span>  // for span

#include "core/task.h"

namespace coppice {

// L2 norm, accumulated in double in index order; not finite if a value is not.
double update_norm(std::span<const float> update);

// kNone if an update of `norm` may be encoded: finite, and not above the task's bound if there is
// one.
RefusalReason gate(double norm, const ClientTask& task);

}  // namespace coppice
