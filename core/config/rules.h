#pragma once
// What no key can check alone: values that are each in range but do not go together. Pure.

#include <optional>  // for optional
#include <string>    // for string

#include "core/experiment.h"

namespace coppice {

struct Conflict {
  std::string key;      // the one most likely to be changed
  std::string message;  // what it conflicts with, and a way out
};

// The first conflict of `config`, if there is one. Names are not judged here: their registries know
// them.
std::optional<Conflict> find_conflict(const ExperimentConfig& config);

}  // namespace coppice
