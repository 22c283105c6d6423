// `coppice-edge`: what a device needs of `coppice`, without LibTorch and MPI.

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/text.h"
#include "launch/device/device_commands.h"
#include "launch/version.h"

namespace coppice {
namespace {

int run(int argc, char** argv) {
  CLI::App app("Coppice on a device: takes part in runs of `coppice serve`", "coppice-edge");
  app.set_version_flag("--version", text("coppice-edge ", kCoppiceVersion));
  DeviceCommands devices;
  const CLI::App* const edge = devices.add_edge(app);
  devices.add_pki(app);
  app.require_subcommand(1);
  if (argc > 2 && std::string_view(argv[1]) == "pki") check_pki_action(argv[2]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return 0;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw ConfigError(text(error.what(), "; see coppice-edge --help"));
  }
  arm_failpoints();
  return edge->parsed() ? edge_command(devices.edge()) : pki_command(devices.pki());
}

}  // namespace
}  // namespace coppice

int main(int argc, char** argv) {
  try {
    return coppice::run(argc, argv);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "coppice-edge: {}\n", coppice::describe(error));
    return coppice::exit_code(error);
  }
}
