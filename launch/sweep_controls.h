#pragma once
// Runs of a sweep that would each train the same dense control share one: it becomes a run of its
// own, and theirs compare themselves with it. Their models are the same bits either way, for the
// two tracks of a run share nothing but what the control ends with. Pure values.

#include <filesystem>  // for path
#include <span>        // for span
#include <string>      // for string
#include <vector>      // for vector

#include "core/experiment.h"

namespace coppice {

struct SharedControl {
  std::string name;  // of its folder: "control-" and 8 digits of its config's SHA-256
  ExperimentConfig config;
};

// The run that trains what `config`'s control does, and nothing else.
ExperimentConfig control_of(const ExperimentConfig& config);

// Controls that at least two of `configs` have, in order of first appearance. Those configs train
// none any more: their dense reference is the folder below `out`, and a teacher that was the
// control is its checkpoint.
std::vector<SharedControl> share_controls(std::span<ExperimentConfig> configs,
                                          const std::filesystem::path& out);

}  // namespace coppice
