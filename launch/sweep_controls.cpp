#include "launch/sweep_controls.h"

#include <map>  // for map

#include "core/config/config.h"

namespace coppice {

ExperimentConfig control_of(const ExperimentConfig& config) {
  ExperimentConfig control = config;
  control.name += "-control";
  control.compress = {};
  control.comm = {};
  control.train.memory = {.micro_batch = config.train.memory.micro_batch};
  return control;
}

std::vector<SharedControl> share_controls(std::span<ExperimentConfig> configs,
                                          const std::filesystem::path& out) {
  std::vector<SharedControl> shared;
  std::map<std::string, std::vector<ExperimentConfig*>> users;  // by the control's SHA-256
  for (ExperimentConfig& config : configs) {
    if (config.compress.control) users[config_sha256(control_of(config))].push_back(&config);
  }
  for (const ExperimentConfig& config : configs) {
    if (!config.compress.control) continue;
    const ExperimentConfig control = control_of(config);
    const std::string sha256 = config_sha256(control);
    if (users.at(sha256).size() < 2) continue;
    const std::string name = "control-" + sha256.substr(0, 8);
    shared.push_back({name, control});
    for (ExperimentConfig* user : users.at(sha256)) {
      user->compress.control = false;
      user->compress.dense_reference = (out / name).string();
      if (user->compress.distill.teacher == "control") {
        user->compress.distill.teacher = (out / name / "model" / "model.safetensors").string();
      }
    }
  }
  return shared;
}

}  // namespace coppice
