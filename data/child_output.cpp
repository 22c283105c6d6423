#include "data/child_output.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>    // for array
#include <cerrno>   // for errno
#include <cstring>  // for strerror
#include <utility>  // for exchange

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { close(); }

  int number() const { return number_; }
  void close() {
    if (const int number = std::exchange(number_, -1); number >= 0) ::close(number);
  }

 private:
  int number_;
};

// Where the child's three streams go: nothing in, `out` out, errors nowhere.
class SpawnActions {
 public:
  explicit SpawnActions(int out) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }

  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

pid_t spawn(const std::vector<std::string>& arguments, int out) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  std::vector<std::string> copies = arguments;  // argv is not const by an old convention
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const SpawnActions actions(out);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], actions.get(), nullptr, argv.data(), environ);
  if (error != 0) throw DataError(text("cannot run ", arguments[0], ": ", std::strerror(error)));
  return child;
}

// Reads to the end, keeping at most limit_bytes + 1, so that the child never waits for a reader.
std::string drain(int pipe, std::size_t limit_bytes) {
  std::string all;
  std::array<char, 65'536> chunk{};
  while (true) {
    const ssize_t got = ::read(pipe, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return all;
    if (all.size() <= limit_bytes) all.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::string child_output(const std::vector<std::string>& arguments, std::size_t limit_bytes) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw DataError(text("cannot make a pipe: ", std::strerror(errno)));
  FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const pid_t child = spawn(arguments, write_end.number());
  write_end.close();
  std::string output = drain(read_end.number(), limit_bytes);
  if (const int status = wait_for(child); status != 0) {
    throw DataError(text(join(arguments, " "), ": expected exit status 0, got ", status));
  }
  if (output.size() > limit_bytes) {
    throw DataError(text(join(arguments, " "), ": expected at most ", limit_bytes,
                         " bytes of output, got more"));
  }
  return output;
}

}  // namespace coppice
