#pragma once
// The command line of `coppice`, as values: which sub-command with which arguments, or a text to
// print. Pure: nothing is run and no file is opened.

#include <optional>  // for optional
#include <span>      // for span
#include <string>    // for string
#include <variant>   // for variant

#include "launch/commands.h"

namespace coppice {

struct DoctorArguments {};

using Command = std::variant<RunArguments, ServeArguments, EdgeArguments, SweepArguments,
                             InspectArguments, ListArguments, InferArguments, ValidateArguments,
                             ExportArguments, OptimizeArguments, BenchArguments, PkiArguments,
                             NetproxyArguments, DoctorArguments>;

struct CommandLine {
  std::optional<Command> command;  // without one: print `output` and exit with `exit_code`
  std::string output;              // help or version
  int exit_code = 0;               // 2 for the help that answers a call without arguments
};

// `arguments` come without the program's name. Throws ConfigError, one paragraph, for an unknown
// command (naming the nearest known one), an unknown option, or an argument that is missing or out
// of range.
CommandLine parse_command_line(std::span<const std::string> arguments);

}  // namespace coppice
