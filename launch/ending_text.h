#pragma once
// How a run with a target ended, for people: the certificate in a line, or the frontier as tables.
// Pure.

#include <string>  // for string

#include "core/json.h"

namespace coppice {

// Of a summary (launch/certificate.h); empty if it has neither, as those of older versions.
std::string ending_text(const Json& summary);

}  // namespace coppice
