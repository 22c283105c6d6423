#pragma once
// The files that a finished run leaves in model/: the checkpoint as .cpk and ONNX, the dense
// control as ONNX, and the report of what was measured. Written atomically; written again, to the
// same bytes but for the measurements, when a run is resumed after its last round.

#include <filesystem>  // for path
#include <optional>    // for optional
#include <string>      // for string
#include <vector>      // for vector

#include "core/checkpoint.h"
#include "core/json.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/program.h"
#include "deploy/validation.h"

namespace coppice {

// The deployable form of a model, or why it has none.
struct Deployable {
  std::optional<runtime::Program> program;
  std::vector<std::uint8_t> cpk;
  std::string refusal;  // empty if there is a program
};
// `table` decides how weights lie (layout_choice.h); one of another network is an error, not a
// refusal.
Deployable deployable(const Checkpoint& checkpoint, const LatencyTable* table = nullptr);

// The table in a file; nothing for an empty path. Throws DataError for a file that is none.
std::optional<LatencyTable> load_latency_table(const std::filesystem::path& path);
// The same, and ConfigError unless it is of `graph`, so that a run need not end to say so.
std::optional<LatencyTable> load_latency_table(const std::filesystem::path& path,
                                               const Graph& graph);

// model.cpk (if there is one), model.onnx, and dense.onnx where dense.safetensors lies. Returns
// what could not be written and why, a line each; those files are not there afterwards.
std::vector<std::string> write_artefacts(const std::filesystem::path& folder,
                                         const Checkpoint& checkpoint,
                                         const Deployable& deployable);

// Runs `coppice-measure` from beside this program on `cpk`; as measure().
constexpr std::int64_t kMeasuredRuns = 1000;
Measurement measure_here(const std::filesystem::path& cpk, std::int64_t runs = kMeasuredRuns,
                         std::int64_t threads = 1);

// report.json: the validation, how the weights of `program` lie and why, and the machine,
// instruction set and versions that it holds for.
Json full_report(const Validation& validation, const runtime::Program& program,
                 const LatencyTable* table = nullptr);

}  // namespace coppice
