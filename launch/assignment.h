#pragma once
// Which rank trains which client. Placement changes how long a round takes and nothing else.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

// Longest processing time first (Graham 1969): clients in descending cost, each to the rank with
// the least so far; ties go to the lower client and the lower rank. `costs[i]` is the expected cost
// of `cohort[i]`. One list a rank.
std::vector<std::vector<std::int64_t>> assign_clients(std::span<const std::int64_t> cohort,
                                                      std::span<const double> costs, int ranks);

}  // namespace coppice
