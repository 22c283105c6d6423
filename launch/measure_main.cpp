// `coppice-measure MODEL.cpk [RUNS] [--threads N]`: how fast and in how much memory the runtime
// runs a model on this machine, as one line of JSON. It links the runtime and nothing else, so that
// what is measured is what a device would run; copied to a device it measures there.
//
// Single samples of made-up values, one thread or N, pinned to as many of the cores this process
// may use, after a twentieth of the runs to warm up. After every run a loop in registers spins for
// as long as the median run took: what that takes longer at times is the machine's, not the
// model's. Exit codes: 0, 1 failed, 2 wrong use.

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/error.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr long kDefaultRuns = 1000;
constexpr long kMaxRuns = 10'000'000;

std::vector<std::uint8_t> read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw coppice::runtime::ModelError(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A field of /proc/self/status in bytes; -1 if the system does not say.
long long status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":"))
      return 1024 * std::strtoll(line.c_str() + field.size() + 1, nullptr, 10);
  }
  return -1;
}

// Binds this process to the last `count` cores that it may use, or to all if there are fewer. The
// last of them; -1 if the system refuses.
int pin_to_cores(long count) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return -1;
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  int last = -1;
  for (int core = CPU_SETSIZE - 1; core >= 0 && CPU_COUNT(&chosen) < count; --core) {
    if (!CPU_ISSET(core, &allowed)) continue;
    CPU_SET(core, &chosen);
    if (last < 0) last = core;
  }
  return sched_setaffinity(0, sizeof chosen, &chosen) == 0 ? last : -1;
}

template <typename Work>
double microseconds_of(const Work& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// A chain of multiplications in one register: as long as `turns` say, with no memory and no clock
// in it.
class Spin {
 public:
  void run(std::int64_t turns) {
    std::uint64_t x = state_;
    for (std::int64_t i = 0; i < turns; ++i) x = x * 6364136223846793005U + 1442695040888963407U;
    state_ = x;
  }

 private:
  volatile std::uint64_t state_ = 1;  // so that no compiler leaves the chain out
};

// The smallest time that a fraction of all runs did not exceed.
double percentile(const std::vector<double>& sorted, double fraction) {
  const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

void print_percentiles(const char* name, const std::vector<double>& sorted) {
  std::printf(",\"%sp50_us\":%.3f,\"%sp99_us\":%.3f,\"%sp999_us\":%.3f", name,
              percentile(sorted, 0.5), name, percentile(sorted, 0.99), name,
              percentile(sorted, 0.999));
}

struct Times {
  std::vector<double> model;
  std::vector<double> spin;

  std::size_t bytes() const { return (model.capacity() + spin.capacity()) * sizeof(double); }
};

double median_us(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return percentile(times, 0.5);
}

// How often the spin must turn to take `microseconds`: of several tries, so that one interruption
// does not decide.
std::int64_t turns_for(double microseconds, Spin& spin) {
  const auto timed = [&](std::int64_t turns) {
    constexpr int kTries = 9;
    std::vector<double> tries;
    tries.reserve(kTries);
    for (int i = 0; i < kTries; ++i) tries.push_back(microseconds_of([&] { spin.run(turns); }));
    return median_us(std::move(tries));
  };
  std::int64_t turns = 16;
  while (timed(turns) < microseconds / 2) turns *= 2;
  const double clock = timed(0);  // takes a part of a short run itself
  const double net = std::max(timed(turns) - clock, 1e-3);
  const double wanted = static_cast<double>(turns) * std::max(microseconds - clock, 0.0) / net;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(wanted));
}

// A core's speed changes while it is measured, and not for both alike: by the medians of the last
// `block` of each.
std::int64_t adjusted(std::int64_t turns, const Times& times, std::ptrdiff_t block) {
  const double model = median_us({times.model.end() - block, times.model.end()});
  const double spin = median_us({times.spin.end() - block, times.spin.end()});
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(turns) * model / std::max(spin, 1e-3)));
}

// Warm, in turn: run, spin, run, spin.
template <typename Work>
Times measured_in_turn(const Work& work, long runs) {
  std::vector<double> warm;
  warm.reserve(static_cast<std::size_t>(runs / 20 + 1));
  for (long i = 0; i < runs / 20 + 1; ++i) warm.push_back(microseconds_of(work));
  Spin spin;
  std::int64_t turns = turns_for(median_us(std::move(warm)), spin);
  Times times;
  times.model.reserve(static_cast<std::size_t>(runs));
  times.spin.reserve(static_cast<std::size_t>(runs));
  const long block = std::max(10L, runs / 20);
  for (long i = 0; i < runs; ++i) {
    if (i > 0 && i % block == 0) turns = adjusted(turns, times, block);
    times.model.push_back(microseconds_of(work));
    times.spin.push_back(microseconds_of([&] { spin.run(turns); }));
  }
  return times;
}

struct Request {
  std::string path;
  long runs = kDefaultRuns;
  long threads = 1;
};

// A number from 1 to `limit`; nothing for any other text.
std::optional<long> number_of(const std::string& text, long limit) {
  char* end = nullptr;
  const long number = std::strtol(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '\0' || number < 1 || number > limit) return std::nullopt;
  return number;
}

std::optional<Request> request_of(std::vector<std::string> words) {
  Request request;
  const auto option = std::find(words.begin(), words.end(), "--threads");
  if (option != words.end()) {
    if (option + 1 == words.end()) return std::nullopt;
    const auto threads = number_of(option[1], coppice::runtime::kMaxThreads);
    if (!threads) return std::nullopt;
    request.threads = *threads;
    words.erase(option, option + 2);
  }
  if (words.empty() || words.size() > 2) return std::nullopt;
  request.path = words[0];
  if (words.size() == 2) {
    const auto runs = number_of(words[1], kMaxRuns);
    if (!runs) return std::nullopt;
    request.runs = *runs;
  }
  return request;
}

int measure(const Request& request) {
  const auto& [path, runs, threads] = request;
  const int core = pin_to_cores(threads);
  const long long before = status_bytes("VmRSS");
  coppice::runtime::Engine model(coppice::runtime::read_cpk(read_all(path), path));
  model.set_threads(threads);
  std::vector<float> sample(static_cast<std::size_t>(model.sample_size()));
  for (std::size_t i = 0; i < sample.size(); ++i)
    sample[i] = static_cast<float>((i * 2654435761U) % 256U) / 255.0F;
  std::vector<float> logits(static_cast<std::size_t>(model.logit_count()));
  Times times = measured_in_turn([&] { model.run(sample, logits); }, runs);
  // The lists of times are not the model's.
  const long long peak =
      std::max(-1LL, status_bytes("VmHWM") - static_cast<long long>(times.bytes()));
  std::sort(times.model.begin(), times.model.end());
  std::sort(times.spin.begin(), times.spin.end());
  std::printf("{\"runs\":%ld,\"core\":%d,\"threads\":%ld", runs, core, threads);
  print_percentiles("", times.model);
  print_percentiles("spin_", times.spin);
  std::printf(",\"activation_bytes\":%lld,\"process_bytes\":%lld,\"peak_bytes\":%lld}\n",
              static_cast<long long>(model.peak_activation_bytes()), std::max(0LL, peak - before),
              peak);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::optional<Request> request = request_of({argv + 1, argv + argc});
    if (!request) {
      std::fprintf(
          stderr,
          "usage: coppice-measure MODEL.cpk [RUNS from 1 to %ld] [--threads from 1 to %ld]\n",
          kMaxRuns, static_cast<long>(coppice::runtime::kMaxThreads));
      return 2;
    }
    return measure(*request);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coppice-measure: %s\n", error.what());
    return 1;
  }
}
