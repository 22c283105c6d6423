#pragma once
// The commands that a device needs, as CLI11 sees them: the same in `coppice` and in
// `coppice-edge`, which has no others and no LibTorch.

#include <CLI/App.hpp>
#include <string>  // for string

#include "launch/commands.h"

namespace coppice {

// Owns the arguments while CLI11 fills them.
class DeviceCommands {
 public:
  CLI::App* add_edge(CLI::App& parent);
  CLI::App* add_pki(CLI::App& parent);

  const EdgeArguments& edge() const { return edge_; }
  const PkiArguments& pki() const { return pki_; }

 private:
  CLI::App* add_pki_action(CLI::App* pki, PkiAction action, const char* valid,
                           const char* sentence);

  EdgeArguments edge_;
  PkiArguments pki_;
  std::string pki_valid_;  // as given; empty: the action's own default
};

// Throws ConfigError for a name that is no command of `coppice pki`, naming the nearest.
void check_pki_action(const std::string& name);

}  // namespace coppice
