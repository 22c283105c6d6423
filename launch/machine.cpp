#include "launch/machine.h"

#include <sched.h>         // for sched_getaffinity
#include <sys/resource.h>  // for getrlimit
#include <unistd.h>        // for access, sysconf

#include <algorithm>   // for min
#include <cstdlib>     // for getenv
#include <filesystem>  // for read_symlink
#include <fstream>     // for ifstream
#include <sstream>     // for istringstream

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// The value behind the first "key : value" or "key: value" of a file in /proc; empty if there is
// none.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(':');
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (colon != std::string::npos && begin != std::string::npos) return line.substr(begin);
  }
  return {};
}

std::int64_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return sysconf(_SC_NPROCESSORS_ONLN);
}

std::int64_t open_files_limit() {
  constexpr std::int64_t kUnlimited = std::int64_t{1} << 31;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, kUnlimited));
}

}  // namespace

Machine this_machine() {
  Machine out;
  out.cpu = proc_value("/proc/cpuinfo", "model name");
  if (out.cpu.empty()) out.cpu = "unknown";
  out.cores = usable_cores();
  out.memory_bytes = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  std::istringstream available(proc_value("/proc/meminfo", "MemAvailable"));
  std::int64_t kibibytes = 0;
  if (available >> kibibytes) out.memory_available_bytes = kibibytes * 1024;
  out.open_files = open_files_limit();
  return out;
}

Json Machine::to_json() const {
  Json out;
  out.set("cpu", cpu);
  out.set("cores", cores);
  out.set("memory_bytes", memory_bytes);
  return out;
}

std::string program_folder() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string("unknown") : program.parent_path().string();
}

std::string find_on_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    std::error_code error;
    if (std::filesystem::is_regular_file(candidate, error) && access(candidate.c_str(), X_OK) == 0)
      return candidate;
  }
  return {};
}

void allow_sockets(std::int64_t sockets) {
  constexpr std::int64_t kOther = 256;
  const auto needed = static_cast<rlim_t>(sockets + kOther);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) return;
  limit.rlim_cur = needed;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw ConfigError(
        text("expected room for ", needed, " open files, got ", limit.rlim_max, " (ulimit -Hn)"));
  }
}

}  // namespace coppice
