// The `coppice` command: parses, dispatches, and turns an error into one paragraph and an exit code.

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "core/failpoint.h"
#include "launch/commands.h"
#include "models/executor.h"

namespace {

void add_run(CLI::App& app, coppice::RunArguments& arguments) {
  CLI::App* run = app.add_subcommand("run", "Run an experiment (under mpirun, or alone)");
  run->add_option("config", arguments.config, "YAML file")->required();
  run->add_option("overrides", arguments.overrides, "key=value, after the file: train.rounds=5");
  run->add_option("--out", arguments.out, "Run folder; default runs/NAME");
  run->add_flag("--resume", arguments.is_resumed, "Go on with the run in --out");
  run->add_flag("--json", arguments.is_json, "Print summary.json as the last line");
  run->add_option("--ranks", arguments.ranks, "Threads as ranks, without MPI")->check(CLI::Range(1, 256));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Coppice: federated training that ends with a network small enough for its target");
  app.require_subcommand(1);
  coppice::RunArguments run;
  add_run(app, run);
  try {
    app.parse(argc, argv);
    coppice::check_failpoint_environment();
    coppice::configure_process_for_training();
    return coppice::run_command(run, {&argc, &argv});
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "coppice: {}\n", coppice::describe(error));
    return coppice::exit_code(error);
  }
}
