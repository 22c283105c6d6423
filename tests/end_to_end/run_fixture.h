#pragma once
// What the end-to-end tests share: a folder with tiny data and a config, `coppice run` on it in
// every way of getting ranks, and readers of what a run leaves.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "tests/data/data_files.h"
#include "tests/end_to_end/process.h"

namespace coppice::testing {

// How a test runs the command.
struct RunRequest {
  std::string out = "run";             // run folder, below the test's folder
  std::vector<std::string> more = {};  // overrides and flags, first perhaps a config instead of
                                       // tiny.yaml
  int processes = 0;                   // under mpirun -np; 0: without mpirun
  int threads = 0;                     // --ranks; 0: none
  std::vector<std::string> environment = {};
  std::string command = "run";
};

class RunTest : public ::testing::Test {
 protected:
  // tiny.yaml: a perceptron on IDX images, five clients, three rounds of control and three that
  // halve the parameters; lenet5.yaml and resnet20.yaml: the same with another network;
  // compressed.yaml: the whole pipeline, quantized to 8 bits and taught by the control;
  // allocated.yaml: the same, layers get their bits and densities; gated.yaml: choices are judged.
  RunTest();

  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path path(const std::string& name) const { return folder() / name; }
  void write(const std::string& name, const std::string& text) const { folder_.write(name, text); }

  Command command(const RunRequest& request) const;
  Outcome run(const RunRequest& request) const { return run_command(command(request)); }

  // Runs, expects exit code 0, and returns the summary that --json printed.
  Json summary_of(const RunRequest& request) const;
  std::string model_of(const RunRequest& request) const {
    return summary_of(request).at("model_sha256").as_text();
  }

  // Runs what must be refused: exit code 2, one paragraph on stderr that has `said` in it, nothing
  // written anywhere.
  void expect_refused(const RunRequest& request, const std::string& said) const;

 private:
  DataFolder folder_;
};

std::string content_of(const std::filesystem::path& file);

// Every file below `folder` by relative path, with its bytes; folders have a '/' at the end and no
// bytes.
using Snapshot = std::map<std::string, std::string>;
Snapshot snapshot(const std::filesystem::path& folder);

// The paths in which two snapshots differ, as text for a failing test; empty if they are equal.
std::string difference(const Snapshot& before, const Snapshot& after);

// What a finished run left, without what may differ from run to run (seconds, memory).
struct RunResult {
  std::vector<std::string> metrics;
  std::string model;
  std::string dense;  // empty without a control
  std::string cpk;
  std::string onnx;
  std::string summary;
  friend bool operator==(const RunResult&, const RunResult&) = default;
};
RunResult result_of(const std::filesystem::path& run);

// `text` as one paragraph of the command's own: "coppice: ..." once, no empty line, no trace of a
// crash.
void expect_one_paragraph(const std::string& text, const std::string& said);

}  // namespace coppice::testing
