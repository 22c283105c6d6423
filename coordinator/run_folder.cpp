#include "coordinator/run_folder.h"

#include <fcntl.h>     // for O_RDWR
#include <sys/file.h>  // for flock

#include <algorithm>     // for min
#include <cerrno>        // for errno
#include <system_error>  // for error_code

#include "core/digest.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace coppice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";
constexpr const char* kConfig = "config.resolved.yaml";

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw ConfigError(text("cannot make folder '", path.string(), "': ", error.message()));
}

// Takes the lock on an open lock file, which keeps it until it is closed.
void take_lock(const FileDescriptor& lock, const fs::path& folder) {
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  if (reason == EWOULDBLOCK)
    throw ConfigError(text("run folder '", folder.string(), "' is in use by another process"));
  throw ConfigError(text("cannot lock '", (folder / kLock).string(), "': ", system_reason(reason)));
}

// Whether `path` is a folder without anything of a run or of the user's. A run that was killed
// before its config was written leaves a lock and perhaps the config's temporary file: that is
// still nothing.
bool is_vacant(const fs::path& path) {
  std::error_code error;
  fs::directory_iterator entries(path, error);
  if (error)
    throw ConfigError(text("cannot use '", path.string(), "' as a run folder: ", error.message()));
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name != kLock && name != text(kConfig, ".tmp")) return false;
  }
  return true;
}

void expect_vacant(const fs::path& path) {
  if (is_vacant(path)) return;
  throw ConfigError(text(
      "run folder '", path.string(),
      "' exists and is not empty; give another --out, or --resume to go on with the run in it"));
}

struct Line {
  std::string_view text;
  bool is_there;
};

// Removes the first line from `rest`.
Line take_line(std::string_view& rest) {
  const bool is_there = !rest.empty();
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return {line, is_there};
}

std::string quoted(Line line) {
  return line.is_there ? text("'", line.text, "'") : "the end of the config";
}

// Throws ConfigError naming the first line in which the configs differ.
void expect_same_config(const fs::path& path, std::string_view stored, std::string_view given) {
  if (stored == given) return;
  for (int number = 1;; ++number) {
    const Line expected = take_line(stored);
    const Line got = take_line(given);
    if (!expected.is_there && !got.is_there) return;  // only the last newline differs
    if (expected.text == got.text && expected.is_there == got.is_there) continue;
    throw ConfigError(text("--resume with another config: '", path.string(), "' line ", number,
                           ": expected ", quoted(expected), " as the run was started with, got ",
                           quoted(got)));
  }
}

}  // namespace

void RunFolder::expect_free(const fs::path& path) {
  std::error_code error;
  const bool is_there = fs::exists(path, error);
  if (error)
    throw ConfigError(text("cannot use '", path.string(), "' as a run folder: ", error.message()));
  if (!is_there) return;
  if (fs::exists(path / kLock, error))
    take_lock(open_file(path / kLock, O_RDONLY), path);  // and give it back
  expect_vacant(path);
}

RunFolder RunFolder::create(const fs::path& path, std::string_view resolved_config) {
  expect_free(path);
  make_folder(path);
  FileDescriptor lock = open_file(path / kLock, O_RDWR | O_CREAT);
  take_lock(lock, path);
  expect_vacant(path);  // another process may have made and finished a run in between
  RunFolder folder(path, std::move(lock));
  write_file_atomically(path / kConfig, resolved_config);
  folder.make_subfolders();
  return folder;
}

RunFolder RunFolder::resume(const fs::path& path, std::string_view resolved_config) {
  std::error_code error;
  const fs::path config_path = path / kConfig;
  if (!fs::is_regular_file(config_path, error)) {
    throw ConfigError(
        text("cannot resume '", path.string(), "': it is not a run (it has no ", kConfig, ")"));
  }
  FileDescriptor lock = open_file(path / kLock, O_RDWR | O_CREAT);
  take_lock(lock, path);
  const std::vector<std::uint8_t> stored = read_file(config_path);
  expect_same_config(config_path, std::string(stored.begin(), stored.end()), resolved_config);
  RunFolder folder(path, std::move(lock));
  folder.make_subfolders();
  return folder;
}

void RunFolder::make_subfolders() const {
  for (const char* name : {"journal", "checkpoints", "model"}) make_folder(path_ / name);
  sync_folder(path_);
}

std::string RunFolder::checkpoint_name(std::int64_t commit) {
  return commit % 2 == 0 ? "checkpoints/a.safetensors" : "checkpoints/b.safetensors";
}

void RunFolder::write_checkpoint(std::int64_t commit, std::span<const std::uint8_t> bytes) const {
  write_file_atomically(path_ / checkpoint_name(commit), bytes, FailpointName("during_checkpoint"));
}

std::vector<std::uint8_t> RunFolder::read_checkpoint(std::string_view name) const {
  if (name != checkpoint_name(0) && name != checkpoint_name(1)) {
    throw ConfigError(text("run folder '", path_.string(), "': expected a checkpoint named ",
                           checkpoint_name(0), " or ", checkpoint_name(1), ", got '", name, "'"));
  }
  return read_file(path_ / name);
}

void RunFolder::rewrite_metrics(std::span<const std::string> lines) const {
  std::string all;
  for (const std::string& line : lines) all.append(line).push_back('\n');
  write_file_atomically(metrics_path(), all);
}

void RunFolder::append_metrics(std::string_view line) const {
  const FileDescriptor file = open_file(metrics_path(), O_WRONLY | O_CREAT | O_APPEND);
  write_all(file, bytes_of(text(line, "\n")), metrics_path());
}

void RunFolder::write_summary(std::string_view json) const {
  write_file_atomically(summary_path(), json);
}

}  // namespace coppice
