// `coppice-measure MODEL.cpk [RUNS]`: how fast and in how much memory the runtime runs a model on
// this machine, as one line of JSON. It links the runtime and nothing else, so that what is
// measured is what a device would run; copied to a device it measures there.
//
// Single samples of made-up values, one thread, pinned to one of the cores this process may use,
// after a twentieth of the runs to warm up. Exit codes: 0, 1 failed, 2 wrong use.

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
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

// The core this process is now bound to; -1 if the system refuses.
int pin_to_one_core() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return -1;
  for (int core = CPU_SETSIZE - 1; core >= 0; --core) {
    if (!CPU_ISSET(core, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 ? core : -1;
  }
  return -1;
}

double run_us(coppice::runtime::Engine& model, const std::vector<float>& sample,
              std::vector<float>& logits) {
  const Clock::time_point begin = Clock::now();
  model.run(sample, logits);
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// The smallest time that a fraction of all runs did not exceed.
double percentile(const std::vector<double>& sorted, double fraction) {
  const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

int measure(const std::string& path, long runs) {
  const int core = pin_to_one_core();
  const long long before = status_bytes("VmRSS");
  coppice::runtime::Engine model(coppice::runtime::read_cpk(read_all(path), path));
  std::vector<float> sample(static_cast<std::size_t>(model.sample_size()));
  for (std::size_t i = 0; i < sample.size(); ++i)
    sample[i] = static_cast<float>((i * 2654435761U) % 256U) / 255.0F;
  std::vector<float> logits(static_cast<std::size_t>(model.logit_count()));
  for (long i = 0; i < runs / 20 + 1; ++i) model.run(sample, logits);
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(runs));
  for (long i = 0; i < runs; ++i) times.push_back(run_us(model, sample, logits));
  // The list of times is not the model's.
  const long long peak =
      status_bytes("VmHWM") - static_cast<long long>(times.capacity() * sizeof(double));
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"runs\":%ld,\"core\":%d,\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,"
      "\"activation_bytes\":%lld,\"process_bytes\":%lld}\n",
      runs, core, percentile(times, 0.5), percentile(times, 0.99), percentile(times, 0.999),
      static_cast<long long>(model.peak_activation_bytes()), std::max(0LL, peak - before));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string count = argc == 3 ? argv[2] : std::to_string(kDefaultRuns);
  char* end = nullptr;
  const long runs = std::strtol(count.c_str(), &end, 10);
  if (argc < 2 || argc > 3 || *end != '\0' || runs < 1 || runs > kMaxRuns) {
    std::fprintf(stderr, "usage: coppice-measure MODEL.cpk [RUNS from 1 to %ld]\n", kMaxRuns);
    return 2;
  }
  try {
    return measure(argv[1], runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coppice-measure: %s\n", error.what());
    return 1;
  }
}
