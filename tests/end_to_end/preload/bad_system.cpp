// A system whose clock jumps and whose disk is full, for a process that is started with LD_PRELOAD:
//   CLOCK_JUMP=S   the wall clock is S seconds ahead in every other tenth of a second
//   DISK_BYTES=N   after N bytes to regular files a write finds no space
// Steady clocks and everything but files are as they were.
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>

namespace {

template <typename Function>
Function* next_of(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

long long number_in(const char* variable, long long otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoll(text);
}

int real_clock(clockid_t clock, timespec* out) {
  static const auto next = next_of<int(clockid_t, timespec*)>("clock_gettime");
  return next(clock, out);
}

time_t jump() {
  static const long long seconds = number_in("CLOCK_JUMP", 0);
  timespec steady{};
  real_clock(CLOCK_MONOTONIC, &steady);
  const bool is_ahead = steady.tv_nsec / 100'000'000 % 2 == 1;
  return is_ahead ? static_cast<time_t>(seconds) : 0;
}

// Whether `count` more bytes fit.
bool fits(int file, std::size_t count) {
  static const long long room = number_in("DISK_BYTES", -1);
  static std::atomic<long long> written = 0;
  struct stat status {};
  if (room < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return true;
  if ((written += static_cast<long long>(count)) <= room) return true;
  errno = ENOSPC;
  return false;
}

}  // namespace

// The symbols, under names of ours: the headers' declarations have the parameters otherwise.
extern "C" {
int our_clock_gettime(clockid_t clock, timespec* out) noexcept asm("clock_gettime");
time_t our_time(time_t* out) noexcept asm("time");
int our_gettimeofday(timeval* out, void* zone) noexcept asm("gettimeofday");
ssize_t our_write(int file, const void* bytes, std::size_t count) asm("write");
ssize_t our_writev(int file, const iovec* parts, int count) asm("writev");
}

int our_clock_gettime(clockid_t clock, timespec* out) noexcept {
  const int outcome = real_clock(clock, out);
  if (clock == CLOCK_REALTIME && outcome == 0) out->tv_sec += jump();
  return outcome;
}

time_t our_time(time_t* out) noexcept {
  timespec now{};
  our_clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int our_gettimeofday(timeval* out, void* /*zone*/) noexcept {
  timespec now{};
  const int outcome = our_clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return outcome;
}

ssize_t our_write(int file, const void* bytes, std::size_t count) {
  static const auto next = next_of<ssize_t(int, const void*, std::size_t)>("write");
  return fits(file, count) ? next(file, bytes, count) : -1;
}

ssize_t our_writev(int file, const iovec* parts, int count) {
  static const auto next = next_of<ssize_t(int, const iovec*, int)>("writev");
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return fits(file, bytes) ? next(file, parts, count) : -1;
}
