#pragma once
// Child processes for tests of the built command: started without a shell, in a process group of
// their own, with stdout and stderr read through pipes. A child dies with the test that started it.

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace coppice::testing {

struct Command {
  std::vector<std::string> arguments;    // the program's path first
  std::vector<std::string> environment;  // NAME=value, added to the test's own
  std::filesystem::path folder = {};     // where it runs; empty: where the test does
};

struct Outcome {
  int exit_code = -1;  // -1 if a signal ended the process
  int signal = 0;      // 0 if it exited
  std::string out;
  std::string err;
};

class Process {
 public:
  explicit Process(const Command& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The next line of stdout, without its end; nothing once stdout is closed.
  std::optional<std::string> read_line();

  // SIGKILL to the process and everything that it started, and waits until none of them is left.
  void kill_job();

  // SIGTERM to the process alone, which may end as it likes.
  void ask_to_end();

  // Reads both outputs to their ends and waits for the exit.
  Outcome wait();

 private:
  bool read_some();  // false once both outputs are at their end

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::size_t lines_read_ = 0;  // bytes of outcome_.out that read_line() gave
  bool is_reaped_ = false;
  Outcome outcome_;
};

Outcome run_command(const Command& command);

}  // namespace coppice::testing
