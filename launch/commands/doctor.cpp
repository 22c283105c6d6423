// `coppice doctor`: what this machine has, what is missing for a run, and how to get it.

#include <fmt/core.h>

#include "comm/communicator.h"
#include "core/error.h"
#include "core/text.h"
#include "data/dataset.h"
#include "launch/commands.h"
#include "launch/machine.h"
#include "launch/tables.h"
#include "launch/version.h"
#include "models/executor.h"

namespace coppice {
namespace {

constexpr std::int64_t kNeededOpenFiles = 256;
constexpr std::int64_t kNeededMemoryBytes = std::int64_t{512} << 20;

#ifdef COPPICE_FAILPOINTS
constexpr const char* kFailpoints =
    "on (COPPICE_FAILPOINT=name:count kills a run at a named place; for tests)";
#else
constexpr const char* kFailpoints = "off";
#endif

// Rows of facts, and problems as they turn up.
struct Findings {
  Table facts{{"Coppice", std::string(kCoppiceVersion)}, "ll"};
  std::vector<std::string> problems;

  void fact(const char* name, std::string value) { facts.add({name, std::move(value)}); }
};

void look_at_software(Findings& findings) {
  findings.fact("in", program_folder());
  findings.fact("executors", text("resident, ", executor_isa("resident"), "; ",
                                  executor_library_version(), ", ", executor_isa("libtorch")));
  findings.fact("MPI", mpi_library_version());
  const std::string mpirun = find_on_path("mpirun");
  findings.fact("mpirun", mpirun.empty() ? "not on PATH" : mpirun);
  if (mpirun.empty()) {
    findings.problems.emplace_back(
        "mpirun is not on PATH: install Debian's openmpi-bin, or use coppice run --ranks N");
  }
  findings.fact("failpoints", kFailpoints);
}

void look_at_machine(Findings& findings) {
  const Machine machine = this_machine();
  findings.fact("CPU",
                text(machine.cpu, ", ", machine.cores, machine.cores == 1 ? " core" : " cores"));
  findings.fact("memory", text(human_bytes(static_cast<double>(machine.memory_bytes)), ", ",
                               human_bytes(static_cast<double>(machine.memory_available_bytes)),
                               " available"));
  findings.fact("open files", with_commas(machine.open_files));
  const bool lacks_memory =
      machine.memory_available_bytes > 0 && machine.memory_available_bytes < kNeededMemoryBytes;
  if (lacks_memory) {
    findings.problems.push_back(
        text("less than ", human_bytes(static_cast<double>(kNeededMemoryBytes)),
             " of memory are available: end other programs, or take fewer ranks"));
  }
  if (machine.open_files < kNeededOpenFiles) {
    findings.problems.push_back(
        text("only ", machine.open_files, " open files are allowed: ulimit -n 1024"));
  }
}

// Fashion-MNIST is read whole, which compares its digests with the published files'.
void look_at_fashion_mnist(const std::string& place, Findings& findings) {
  constexpr const char* kRemedy =
      "install Debian's dataset-fashion-mnist, or let launch/quickstart do it";
  if (place.empty()) {
    findings.fact("data", "fashion_mnist: not found");
    findings.problems.push_back(
        text("the data set fashion_mnist of the main job is not found: ", kRemedy));
    return;
  }
  try {
    load_dataset({.name = "fashion_mnist"});
    findings.fact("data", "fashion_mnist: " + place + ", as published");
  } catch (const std::exception& error) {
    findings.fact("data", "fashion_mnist: " + place + ", damaged");
    findings.problems.push_back(text(describe(error), "; ", kRemedy));
  }
}

void look_at_data(Findings& findings) {
  for (const DatasetInfo& info : known_datasets()) {
    const std::string place = locate_dataset(info.name);
    if (info.name == "fashion_mnist") {
      look_at_fashion_mnist(place, findings);
    } else if (!place.empty()) {
      findings.fact("data", text(info.name, ": ", place));
    }
  }
}

}  // namespace

int doctor_command() {
  Findings findings;
  look_at_software(findings);
  look_at_machine(findings);
  look_at_data(findings);
  fmt::print("{}\n", findings.facts.text());
  if (findings.problems.empty()) {
    fmt::print("ready\n");
    return 0;
  }
  fmt::print("not ready:\n");
  for (const std::string& problem : findings.problems) fmt::print("- {}\n", problem);
  return 1;
}

}  // namespace coppice
