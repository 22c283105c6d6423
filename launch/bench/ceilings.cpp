#include <chrono>      // for steady_clock
#include <functional>  // for function

#include "kernels/ceilings.h"
#include "launch/bench/bench.h"

namespace coppice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRuns = 9;
constexpr double kRunSeconds = 0.02;                           // an arithmetic run, at least
constexpr std::int64_t kArrayFloats = std::int64_t{32} << 20;  // 128 MiB: beyond the caches
constexpr std::int64_t kArrayBytes = kArrayFloats * 4;

double seconds_of(const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Amount a second, in units of 1e9, of kRuns runs after one that warms up.
Spread rate(double amount, const std::function<void()>& work) {
  work();
  std::vector<double> rates;
  rates.reserve(kRuns);
  for (int i = 0; i < kRuns; ++i) rates.push_back(amount / seconds_of(work) * 1e-9);
  return spread_of(std::move(rates));
}

Spread multiply_add_rate() {
  volatile float sink = 0.0F;
  std::int64_t rounds = 1 << 16;
  const auto work = [&] { sink = sink + kernels::multiply_add(rounds).result; };
  while (seconds_of(work) < kRunSeconds) rounds *= 2;
  return rate(static_cast<double>(kernels::multiply_add(rounds).operations), work);
}

}  // namespace

BenchReport bench_ceilings() {
  BenchReport report;
  report.subject =
      "one core: multiply-adds in registers (" + std::string(kernels::multiply_add_isa()) +
      "), memory through arrays of 128 MiB; other work on the machine lowers all of it";
  report.facts.set("isa", kernels::multiply_add_isa());
  report.facts.set("array_bytes", kArrayBytes);
  report.facts.set("runs", kRuns);
  report.figures.push_back({"fp32_multiply_add", "GFLOP/s", multiply_add_rate()});

  std::vector<float> x(static_cast<std::size_t>(kArrayFloats), 1.0F);
  std::vector<float> y(static_cast<std::size_t>(kArrayFloats), 2.0F);
  volatile std::uint64_t sink = 0;
  constexpr auto kBytes = static_cast<double>(kArrayBytes);
  const auto copy = [&] { kernels::copy(x.data(), y.data(), kArrayFloats); };
  const auto read = [&] { sink = sink + kernels::sum_words(x.data(), kArrayFloats); };
  const auto axpy = [&] { kernels::scale_and_add(1e-3F, x.data(), y.data(), kArrayFloats); };
  report.figures.push_back({"memory_copy", "GB/s", rate(2 * kBytes, copy)});
  report.figures.push_back({"memory_read", "GB/s", rate(kBytes, read)});
  report.figures.push_back({"memory_axpy", "GB/s", rate(3 * kBytes, axpy)});
  return report;
}

}  // namespace coppice
