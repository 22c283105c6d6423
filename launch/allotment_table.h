#pragma once
// How a run's weights were shared out among its layers, and why: from what metrics.jsonl says of
// the last choice. Pure.

#include <string>  // for string
#include <vector>  // for vector

#include "core/json.h"

namespace coppice {

// The `allotment` of the last round that made one, with "round" added; null without any.
Json last_allotment(const std::vector<Json>& metrics);

// A row a layer: what is kept, bits, bytes, microseconds, predicted loss, and which limits kept it
// from a choice that loses less. Empty for null, and for runs of versions that did not say.
std::string allotment_table(const Json& allotment);

}  // namespace coppice
