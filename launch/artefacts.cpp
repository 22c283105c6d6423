#include "launch/artefacts.h"

#include "coordinator/durable_file.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parameter_arena.h"
#include "core/text.h"
#include "deploy/layout_choice.h"
#include "deploy/lower.h"
#include "deploy/onnx/export.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "launch/machine.h"
#include "launch/version.h"
#include "models/executor.h"

namespace coppice {
namespace {

constexpr std::int64_t kMostTableBytes = std::int64_t{64} << 20;

// Removes what an earlier version of the model may have left.
std::string write_onnx(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  try {
    const OnnxOptions options{.version = std::string(kCoppiceVersion), .metadata = {}};
    write_file_atomically(path, to_onnx(checkpoint, options));
    return {};
  } catch (const ConfigError& error) {
    std::filesystem::remove(path);
    return text(path.filename().string(), ": ", error.what());
  } catch (const KernelError& error) {
    std::filesystem::remove(path);
    return text(path.filename().string(), ": ", error.what());
  }
}

}  // namespace

std::optional<LatencyTable> load_latency_table(const std::filesystem::path& path) {
  if (path.empty()) return std::nullopt;
  const std::vector<std::uint8_t> bytes = read_file(path, kMostTableBytes);
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return latency_table_from_json(json, path.string());
}

std::optional<LatencyTable> load_latency_table(const std::filesystem::path& path,
                                               const Graph& graph) {
  std::optional<LatencyTable> table = load_latency_table(path);
  if (!table) return table;
  Checkpoint checkpoint;
  checkpoint.graph = graph;
  const ParameterArena arena = initial_parameters(graph, 1);
  checkpoint.parameters.assign(arena.values().begin(), arena.values().end());
  table->predict(lower(checkpoint));
  return table;
}

Deployable deployable(const Checkpoint& checkpoint, const LatencyTable* table) {
  Deployable out;
  try {
    runtime::Program program = lower_in_rows(checkpoint);
    runtime::infer(program);  // names the node that the runtime does not run
    out.program = std::move(program);
  } catch (const ConfigError& error) {
    out.refusal = error.what();
  } catch (const runtime::ModelError& error) {
    out.refusal = error.what();
  }
  if (!out.program) return out;
  out.program = with_chosen_layouts(std::move(*out.program), table);
  out.cpk = runtime::write_cpk(*out.program);
  return out;
}

std::vector<std::string> write_artefacts(const std::filesystem::path& folder,
                                         const Checkpoint& checkpoint,
                                         const Deployable& deployable) {
  std::vector<std::string> refusals;
  const auto note = [&](std::string refusal) {
    if (!refusal.empty()) refusals.push_back(std::move(refusal));
  };
  if (deployable.program) {
    write_file_atomically(folder / "model.cpk", deployable.cpk);
  } else {
    std::filesystem::remove(folder / "model.cpk");
    note("model.cpk: " + deployable.refusal);
  }
  note(write_onnx(folder / "model.onnx", checkpoint));
  const std::filesystem::path dense = folder / "dense.safetensors";
  if (std::filesystem::exists(dense)) {
    note(write_onnx(folder / "dense.onnx",
                    checkpoint_from_bytes(read_file(dense.string()), dense.string())));
  }
  return refusals;
}

Measurement measure_here(const std::filesystem::path& cpk, std::int64_t runs,
                         std::int64_t threads) {
  return measure(std::filesystem::path(program_folder()) / "coppice-measure", cpk, runs, threads);
}

Json full_report(const Validation& validation, const runtime::Program& program,
                 const LatencyTable* table) {
  Json report = report_json(validation);
  report.set("layouts", layouts_json(explain_layouts(program, table)));
  report.set("predicted_us", table == nullptr ? Json() : Json(table->predict(program)));
  report.set("machine", this_machine().to_json());
  report.set("isa", executor_isa("resident"));
  Json versions;
  versions.set("coppice", kCoppiceVersion);
  versions.set("executor", executor_library_version());
  report.set("versions", std::move(versions));
  return report;
}

}  // namespace coppice
