// `coppice export`: the deployable files of a checkpoint.

#include <fmt/core.h>

#include <filesystem>  // for path
#include <optional>    // for optional

#include "core/checkpoint.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "deploy/block_prune.h"
#include "launch/artefacts.h"
#include "launch/commands.h"
#include "launch/tables.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

// A run folder stands for the model in it.
Path checkpoint_of(const std::string& subject) {
  Path path = subject;
  if (!std::filesystem::is_directory(path)) return path;
  for (const Path& candidate : {path / "model" / "model.safetensors", path / "model.safetensors"}) {
    if (std::filesystem::exists(candidate)) return candidate;
  }
  throw DataError(text(subject, ": a folder without model/model.safetensors"));
}

}  // namespace

int export_command(const ExportArguments& arguments) {
  const Path path = checkpoint_of(arguments.artefact);
  Checkpoint checkpoint = checkpoint_from_bytes(read_file(path.string()), path.string());
  if (arguments.blocks < 1.0) {
    if (arguments.out.empty())
      throw ConfigError("--blocks makes another model: give the folder to write it to as --out");
    keep_largest_blocks(checkpoint, arguments.blocks);
  }
  const Path folder = arguments.out.empty() ? path.parent_path() : Path(arguments.out);
  if (!folder.empty()) std::filesystem::create_directories(folder);
  const std::optional<LatencyTable> table = load_latency_table(arguments.table);
  const Deployable shipped = deployable(checkpoint, table ? &*table : nullptr);
  const std::vector<std::string> refusals = write_artefacts(folder, checkpoint, shipped);
  for (const char* name : {"model.cpk", "model.onnx", "dense.onnx"}) {
    const Path file = folder / name;
    if (std::filesystem::exists(file)) {
      fmt::print("{}: {} bytes\n", file.string(),
                 with_commas(static_cast<std::int64_t>(std::filesystem::file_size(file))));
    }
  }
  for (const std::string& refusal : refusals) fmt::print("not written: {}\n", refusal);
  return refusals.empty() ? 0 : 1;
}

}  // namespace coppice
