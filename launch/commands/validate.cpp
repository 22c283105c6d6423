// `coppice validate`: a finished model measured on this machine, and judged against a target.

#include <fmt/core.h>
#include <unistd.h>  // for getpid

#include <algorithm>  // for all_of, min

#include "coordinator/durable_file.h"
#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "deploy/runtime/cpk.h"
#include "launch/artefacts.h"
#include "launch/commands.h"
#include "launch/loaded_model.h"
#include "launch/tables.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

Constraints parse_constraints(const std::string& list) {
  std::vector<std::string> overrides = constraint_overrides(list);
  overrides.insert(overrides.begin(), "compress.control=true");  // there is something to retain
  return parse_config("name: validate", "--constraints", overrides).compress.constraints;
}

// What is measured: a run folder stands for the model in it.
Path artefact_of(const std::string& subject) {
  Path path = subject;
  if (!std::filesystem::is_directory(path)) return path;
  for (const Path& candidate : {path / "model" / "model.cpk", path / "model.cpk"}) {
    if (std::filesystem::exists(candidate)) return candidate;
  }
  throw DataError(text(subject, ": a folder without model/model.cpk"));
}

// A .cpk that lies on disk for as long as this lives: the artefact itself, or one made from a
// checkpoint.
class CpkFile {
 public:
  CpkFile(const Path& artefact, const LoadedModel& model, const LatencyTable* table) {
    if (model.program() != nullptr) {
      path_ = artefact;
      bytes_ = read_file(artefact.string());
      return;
    }
    Deployable shipped = deployable(*model.checkpoint(), table);
    if (!shipped.program) throw ConfigError(text(artefact.string(), ": ", shipped.refusal));
    path_ = std::filesystem::temp_directory_path() / text("coppice-", getpid(), ".cpk");
    is_temporary_ = true;
    bytes_ = std::move(shipped.cpk);
    write_file_atomically(path_, bytes_);
  }
  CpkFile(const CpkFile&) = delete;
  CpkFile& operator=(const CpkFile&) = delete;
  ~CpkFile() {
    std::error_code ignored;
    if (is_temporary_) std::filesystem::remove(path_, ignored);
  }

  const Path& path() const { return path_; }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  Path path_;
  std::vector<std::uint8_t> bytes_;
  bool is_temporary_ = false;
};

// The fp32 model that `program` stands for: a checkpoint, or the one that lies beside its .cpk. The
// integers of an ONNX file stand for none: a relu may be nothing but a grid that ends at zero.
std::optional<Checkpoint> source_of(const LoadedModel& model, const runtime::Program& program,
                                    const Path& artefact) {
  if (model.checkpoint() != nullptr) {
    const bool is_fp32_there =
        artefact.extension() != ".onnx" || model.checkpoint()->plan.is_empty();
    return is_fp32_there ? std::optional(*model.checkpoint()) : std::nullopt;
  }
  const Path path = artefact.parent_path() / "model.safetensors";
  if (!std::filesystem::exists(path)) return std::nullopt;
  Checkpoint checkpoint = checkpoint_from_bytes(read_file(path.string()), path.string());
  if (model_sha256(checkpoint) != hex(program.model_sha256)) return std::nullopt;
  return checkpoint;
}

std::optional<double> dense_accuracy(const ValidateArguments& arguments, const Path& artefact,
                                     const Dataset& dataset, const Split& split) {
  const Path path = arguments.dense.empty() ? artefact.parent_path() / "dense.safetensors"
                                            : Path(arguments.dense);
  if (arguments.dense.empty() && !std::filesystem::exists(path)) return std::nullopt;
  LoadedModel dense(path.string());
  check_fits(dense, dataset);
  return accuracy_of(dense, dataset, split);
}

// "one thread on core 1", "2 threads on cores up to 1".
std::string threads_text(const Measurement& measured) {
  const bool is_one = measured.threads == 1;
  const std::string threads = is_one ? "one thread" : text(measured.threads, " threads");
  if (measured.core < 0) return threads + ", not pinned";
  return text(threads, is_one ? " on core " : " on cores up to ", measured.core);
}

void print_report(const Path& artefact, const Validation& validation, const Dataset& dataset,
                  const std::string& split) {
  const Measurement& measured = validation.measurement;
  fmt::print("{}: {} bytes\n", artefact.string(), with_commas(validation.file_bytes));
  fmt::print("latency    p50 {:.1f} us, p99 {:.1f} us, p99.9 {:.1f} us ({} runs, {})\n",
             measured.latency.p50_us, measured.latency.p99_us, measured.latency.p999_us,
             with_commas(measured.runs), threads_text(measured));
  fmt::print(
      "spin       p50 {:.1f} us, p99 {:.1f} us, p99.9 {:.1f} us (a loop in registers, in turn)\n",
      measured.spin.p50_us, measured.spin.p99_us, measured.spin.p999_us);
  fmt::print("memory     {} bytes of activations, {} bytes more in the process\n",
             with_commas(measured.activation_bytes), with_commas(measured.process_bytes));
  const PairedCounts& counts = validation.counts;
  fmt::print("accuracy   {:.2f}% ({} of {} labels, {} {})\n", 100.0 * counts.accuracy(),
             with_commas(counts.correct), with_commas(counts.labels), dataset.name, split);
  if (counts.agreement()) {
    fmt::print("agreement  {:.2f}% with the fp32 model, which has {:.2f}%\n",
               100.0 * *counts.agreement(), 100.0 * *counts.reference_accuracy());
  }
}

struct Validated {
  Validation validation;
  runtime::Program program;
};

Validated validate(const ValidateArguments& arguments, const Path& artefact, const Dataset& dataset,
                   const Split& split, const LatencyTable* table) {
  LoadedModel model(artefact.string());
  check_fits(model, dataset);
  fmt::print("{}", label_note(model, dataset));
  const CpkFile cpk(artefact, model, table);
  Validated out{{}, runtime::read_cpk(cpk.bytes(), cpk.path().string())};
  const runtime::Program& program = out.program;
  Validation& validation = out.validation;
  validation.file_bytes = static_cast<std::int64_t>(cpk.bytes().size());
  validation.file_sha256 = sha256_hex(cpk.bytes());
  validation.model_sha256 = hex(program.model_sha256);
  const std::optional<Checkpoint> source = source_of(model, program, artefact);
  std::unique_ptr<Executor> executor;
  Reference reference;
  if (source) {
    executor = make_executor("auto", source->graph);
    reference = {executor.get(), source->parameters};
  }
  validation.counts = score(program, dataset, split, source ? &reference : nullptr);
  const std::optional<double> dense = dense_accuracy(arguments, artefact, dataset, split);
  if (dense && *dense > 0.0) validation.retention = validation.counts.accuracy() / *dense;
  validation.measurement = measure_here(cpk.path(), arguments.runs, arguments.threads);
  return out;
}

}  // namespace

std::vector<std::string> constraint_overrides(const std::string& list) {
  std::vector<std::string> overrides;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    overrides.push_back("compress.constraints." + list.substr(begin, end - begin));
    begin = end + 1;
  }
  return overrides;
}

int validate_command(const ValidateArguments& arguments) {
  const Constraints limits = parse_constraints(arguments.constraints);
  const Path artefact = artefact_of(arguments.artefact);
  const std::unique_ptr<const Dataset> dataset =
      load_named_data(arguments.data, arguments.root, arguments.overrides);
  const Split& split = arguments.split == "train" ? dataset->train : dataset->test;
  if (split.size == 0)
    throw DataError(text("data set '", dataset->name, "' has no ", arguments.split, " samples"));
  const std::optional<LatencyTable> file = load_latency_table(arguments.table);
  const LatencyTable* table = file ? &*file : nullptr;
  const auto [validation, program] = validate(arguments, artefact, *dataset, split, table);
  if (limits.min_retention && !validation.retention) {
    throw ConfigError(
        "--constraints min_retention: there is no dense model to compare with; give "
        "its checkpoint as --dense");
  }
  const std::vector<Verdict> verdicts = judge(limits, validation);
  print_report(artefact, validation, *dataset, arguments.split);
  if (table != nullptr) {
    fmt::print("predicted  {:.1f} us by {} ({}, {})\n", table->predict(program), arguments.table,
               table->cpu, table->isa);
  }
  fmt::print("{}", verdict_table(verdicts));
  if (arguments.is_json) {
    Json report = full_report(validation, program, table);
    report.set("constraints", verdicts_json(verdicts));
    fmt::print("{}\n", report.dump());
  }
  return std::ranges::all_of(verdicts, &Verdict::is_met) ? 0 : 3;
}

}  // namespace coppice
