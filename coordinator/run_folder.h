#pragma once
// The folder of one run: its resolved config, journal, two checkpoints, metrics, model and summary.
// Bytes in, bytes out: what a checkpoint or a record means is the coordinator's business. One
// process holds a folder at a time (flock on `lock`, released by the destructor or by the process's
// death); within it one thread uses the RunFolder.
//
//   config.resolved.yaml   written first: its presence makes the folder a run
//   journal/journal.bin    commit records (coordinator/journal.h)
//   checkpoints/{a,b}.safetensors   of even and odd commits, so that the last one outlives a crash
//   during the next metrics.jsonl          a line a round; the journal decides, on resume the file
//   is rewritten from it model/, summary.json   when the run is done
//
// Order of a commit: write_checkpoint, then append to the journal, then append_metrics. A writer
// whose journal lags must sync it before write_checkpoint, or a power cut could leave a last record
// whose checkpoint was already replaced.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "coordinator/durable_file.h"

namespace coppice {

class RunFolder {
 public:
  // Makes a new run at `path`, with its missing parents. Throws ConfigError, having changed
  // nothing, if something other than an empty folder is there, and if another process is using it.
  static RunFolder create(const std::filesystem::path& path, std::string_view resolved_config);

  // Throws what create() would, now, of a folder that is there.
  static void expect_free(const std::filesystem::path& path);

  // Opens a run to go on with it. Throws ConfigError if there is none, if another process is using
  // it, or if `resolved_config` is not the one the run was made with (naming the first line that
  // differs).
  static RunFolder resume(const std::filesystem::path& path, std::string_view resolved_config);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path journal_path() const { return path_ / "journal" / "journal.bin"; }
  std::filesystem::path model_path() const { return path_ / "model"; }
  std::filesystem::path metrics_path() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path summary_path() const { return path_ / "summary.json"; }

  // The file that holds the checkpoint of commit number `commit` (from 0), relative to path(): what
  // records store.
  static std::string checkpoint_name(std::int64_t commit);

  // Replaces the checkpoint of commit - 2 atomically and durably. Failpoint during_checkpoint.
  void write_checkpoint(std::int64_t commit, std::span<const std::uint8_t> bytes) const;

  // The bytes under a name that checkpoint_name gave. Throws DataError if the file cannot be read,
  // ConfigError for any other name. The caller compares them with the digest of its commit record.
  std::vector<std::uint8_t> read_checkpoint(std::string_view name) const;

  // Lines come without their newline. rewrite_metrics replaces the file (on resume: the lines of
  // committed rounds).
  void rewrite_metrics(std::span<const std::string> lines) const;
  void append_metrics(std::string_view line) const;

  void write_summary(std::string_view json) const;

 private:
  RunFolder(std::filesystem::path path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  void make_subfolders() const;

  std::filesystem::path path_;
  FileDescriptor lock_;
};

}  // namespace coppice
