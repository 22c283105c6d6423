// The `coppice` command: parses, dispatches, and turns an error into one paragraph and an exit
// code.

#include <fmt/core.h>

#include "core/error.h"
#include "core/failpoint.h"
#include "launch/command_line.h"
#include "models/executor.h"

namespace coppice {
namespace {

int dispatch(const Command& command, const ProcessArguments& process) {
  struct Visitor {
    const ProcessArguments& process;
    int operator()(const RunArguments& arguments) const { return run_command(arguments, process); }
    int operator()(const ServeArguments& arguments) const {
      return serve_command(arguments, process);
    }
    int operator()(const EdgeArguments& arguments) const { return edge_command(arguments); }
    int operator()(const SweepArguments& arguments) const {
      return sweep_command(arguments, process);
    }
    int operator()(const InspectArguments& arguments) const { return inspect_command(arguments); }
    int operator()(const ListArguments& arguments) const { return list_command(arguments); }
    int operator()(const InferArguments& arguments) const { return infer_command(arguments); }
    int operator()(const ValidateArguments& arguments) const { return validate_command(arguments); }
    int operator()(const ExportArguments& arguments) const { return export_command(arguments); }
    int operator()(const OptimizeArguments& arguments) const {
      return optimize_command(arguments, process);
    }
    int operator()(const BenchArguments& arguments) const { return bench_command(arguments); }
    int operator()(const PkiArguments& arguments) const { return pki_command(arguments); }
    int operator()(const NetproxyArguments& arguments) const { return netproxy_command(arguments); }
    int operator()(const DoctorArguments&) const { return doctor_command(); }
  };
  return std::visit(Visitor{process}, command);
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const CommandLine line = parse_command_line(arguments);
  if (!line.command) {
    fmt::print("{}", line.output);
    return line.exit_code;
  }
  arm_failpoints();
  configure_process_for_training();
  return dispatch(*line.command, {&argc, &argv});
}

}  // namespace
}  // namespace coppice

int main(int argc, char** argv) {
  try {
    return coppice::run(argc, argv);
  } catch (const std::exception& error) {
    std::fflush(stdout);  // what was printed before stands before the error, also in a log
    fmt::print(stderr, "coppice: {}\n", coppice::describe(error));
    return coppice::exit_code(error);
  }
}
