#include "tests/end_to_end/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <map>
#include <stdexcept>

namespace coppice::testing {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return ends;
}

// Parents of all processes of this machine, from /proc/PID/stat: "pid (name) state parent ...".
std::map<pid_t, pid_t> parents() {
  std::map<pid_t, pid_t> out;
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return out;
  while (const dirent* entry = ::readdir(processes)) {
    const std::string name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{}) continue;
    std::ifstream file("/proc/" + name + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos || line.size() < name_end + 5) continue;
    std::from_chars(line.data() + name_end + 4, line.data() + line.size(), out[pid]);
  }
  ::closedir(processes);
  return out;
}

// `root` and all that descend from it, ancestors first.
std::vector<pid_t> family_of(pid_t root) {
  const std::map<pid_t, pid_t> all = parents();
  std::vector<pid_t> family{root};
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const auto& [pid, parent] : all) {
      if (parent == family[i]) family.push_back(pid);
    }
  }
  return family;
}

// waitpid that no signal interrupts; -1 if `pid` is no child of this process.
int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

bool read_into(int& file, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(file, buffer.data(), buffer.size());
  if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
  if (count > 0 || (count < 0 && errno == EINTR)) return true;
  ::close(file);
  file = -1;
  return false;
}

}  // namespace

Process::Process(const Command& command) {
  // What outlives its parent becomes this process's child, so that kill_job() can wait for it.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!text.starts_with("COPPICE_") && !text.starts_with("OMP_NUM_THREADS="))
      environment.push_back(text);
  }
  environment.emplace_back("OMP_NUM_THREADS=1");
  environment.insert(environment.end(), command.environment.begin(), command.environment.end());
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  const std::string folder = command.folder.string();
  const std::array<int, 2> out = make_pipe();
  const std::array<int, 2> err = make_pipe();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {  // only calls that are safe after fork
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    if (folder.empty() || ::chdir(folder.c_str()) == 0) {
      ::execve(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
    }
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  if (!is_reaped_) kill_job();
  if (out_ >= 0) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

bool Process::read_some() {
  std::array<pollfd, 2> files{{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};  // poll passes over -1
  if (out_ < 0 && err_ < 0) return false;
  if (::poll(files.data(), files.size(), -1) < 0) return errno == EINTR;
  if (files[0].revents != 0) read_into(out_, outcome_.out);
  if (files[1].revents != 0) read_into(err_, outcome_.err);
  return true;
}

std::optional<std::string> Process::read_line() {
  while (true) {
    const std::size_t end = outcome_.out.find('\n', lines_read_);
    if (end != std::string::npos) {
      std::string line = outcome_.out.substr(lines_read_, end - lines_read_);
      lines_read_ = end + 1;
      return line;
    }
    if (out_ < 0 || !read_some()) return std::nullopt;
  }
}

void Process::kill_job() {
  const std::vector<pid_t> family = family_of(pid_);
  for (const pid_t pid : family) ::kill(pid, SIGKILL);
  for (const pid_t pid : family) reap(pid);  // orphans come to this process as their parents go
  is_reaped_ = true;
}

void Process::ask_to_end() { ::kill(pid_, SIGTERM); }

Outcome Process::wait() {
  while (read_some()) {
  }
  const int status = reap(pid_);
  is_reaped_ = true;
  outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome_.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return outcome_;
}

Outcome run_command(const Command& command) { return Process(command).wait(); }

}  // namespace coppice::testing
