#pragma once
// Times that hold for one speed of the processor, though it changes while they are taken: every few
// runs are between two runs of fixed loops, and are scaled by what those took. There are two,
// additions and multiplications of plain registers and a product of the engine's kernels, because
// what shares the core may slow down one and not the other; times taken while either was slow count
// less than others. One thread at a time.

#include <chrono>   // for steady_clock
#include <cstddef>  // for byte
#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "kernels/integer/integer.h"

namespace coppice {

struct SteadyTime {
  double us = 0.0;        // at the speed that times are to hold for
  double slowness = 1.0;  // of the slower loop around it, over the loop's time at that speed
};

// The median of the half that was taken while the loops were fastest. `times` are reordered; at
// least one.
double calm_median(std::vector<SteadyTime>& times);

class SteadySpeed {
 public:
  // Takes about 30 ms: what the loops take at the speed that times are to hold for (the fastest
  // tenth of their runs), and what reading the clock takes.
  explicit SteadySpeed(const kernels::IntegerKernels& kernels);

  double reference_us() const { return reference_.plain_us + reference_.product_us; }
  double clock_us() const { return clock_us_; }

  // Appends `runs` times to `times`. `run` gives microseconds that it measured, with one reading of
  // the clock in them.
  template <typename Run>
  void time(int runs, const Run& run, std::vector<SteadyTime>& times) const {
    const std::size_t first = times.size();
    const LoopTimes before = loops();
    for (int i = 0; i < runs; ++i) times.push_back({.us = run()});
    const LoopTimes after = loops();
    const double plain = (before.plain_us + after.plain_us) / (2.0 * reference_.plain_us);
    const double product = (before.product_us + after.product_us) / (2.0 * reference_.product_us);
    for (std::size_t i = first; i < times.size(); ++i) {
      const double us = times[i].us > clock_us_ ? times[i].us - clock_us_ : 0.0;
      times[i] = {2.0 * us / (plain + product), plain > product ? plain : product};
    }
  }

 private:
  struct LoopTimes {
    double plain_us = 0.0;
    double product_us = 0.0;
  };

  LoopTimes loops() const;

  const kernels::IntegerKernels& kernels_;
  std::vector<std::int8_t> weights_;
  std::vector<std::int16_t> input_;
  std::vector<std::int32_t> bias_;
  std::vector<float> multipliers_;
  LoopTimes reference_;
  double clock_us_ = 0.0;
};

// Microseconds of one call.
template <typename Call>
double time_of_call(const Call& call) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point before = Clock::now();
  call();
  return std::chrono::duration<double, std::micro>(Clock::now() - before).count();
}

// Memory that is read to push other memory out of the first cache.
class ColdCache {
 public:
  explicit ColdCache(std::size_t bytes) : memory_(bytes) {}
  void read() const;

 private:
  std::vector<std::byte> memory_;
};

}  // namespace coppice
