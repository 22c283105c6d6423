#include "deploy/steady_speed.h"

#include <algorithm>  // for nth_element
#include <array>      // for array
#include <utility>    // for move

namespace coppice {
namespace {

constexpr int kSteps = 1000;
constexpr int kCalibrationRuns = 5000;
// The product, in the first cache.
constexpr std::size_t kPairs = 128;
constexpr std::size_t kChannels = 16;
constexpr std::size_t kPixels = 24;
constexpr int kProducts = 2;
constexpr std::size_t kLine = 64;

double fraction_of(std::vector<double> values, double fraction) {
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size()));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// Four chains, so that it takes arithmetic as a product does, and not only its latency.
std::uint64_t arithmetic(std::uint64_t seed) {
  std::uint64_t a = seed;
  std::uint64_t b = seed + 1;
  std::uint64_t c = seed + 2;
  std::uint64_t d = seed + 3;
  for (int i = 0; i < kSteps; ++i) {
    a = a * 6364136223846793005U + 1442695040888963407U;
    b = b * 6364136223846793005U + 1442695040888963407U;
    c = c * 6364136223846793005U + 1442695040888963407U;
    d = d * 6364136223846793005U + 1442695040888963407U;
  }
  return a ^ b ^ c ^ d;
}

}  // namespace

double calm_median(std::vector<SteadyTime>& times) {
  const std::size_t half = (times.size() + 1) / 2;
  const auto end = times.begin() + static_cast<std::ptrdiff_t>(half);
  std::nth_element(
      times.begin(), end - 1, times.end(),
      [](const SteadyTime& a, const SteadyTime& b) { return a.slowness < b.slowness; });
  std::vector<double> calm;
  for (auto time = times.begin(); time != end; ++time) calm.push_back(time->us);
  return fraction_of(std::move(calm), 0.5);
}

SteadySpeed::SteadySpeed(const kernels::IntegerKernels& kernels)
    : kernels_(kernels),
      weights_(kPairs * kChannels * 2 + kernels::kSpareWeightBytes, 1),
      input_(kPairs * kPixels * 2 + kChannels, 1),
      bias_(kChannels + kernels::kSpareChannels),
      multipliers_(kChannels + kernels::kSpareChannels, 0.01F) {
  std::vector<double> clocks;
  std::vector<double> plain;
  std::vector<double> products;
  for (int i = 0; i < kCalibrationRuns; ++i) {
    clocks.push_back(time_of_call([] {}));
    const LoopTimes times = loops();
    plain.push_back(times.plain_us);
    products.push_back(times.product_us);
  }
  clock_us_ = fraction_of(std::move(clocks), 0.5);
  reference_ = {fraction_of(std::move(plain), 0.1), fraction_of(std::move(products), 0.1)};
}

SteadySpeed::LoopTimes SteadySpeed::loops() const {
  volatile std::uint64_t result = 1;
  std::array<std::uint8_t, kChannels * kPixels + kernels::kSpareChannels> codes;
  kernels::IntegerProduct task;
  task.pixel_step = kPairs * 2;
  task.pixels = kPixels;
  task.steps = kPairs;
  task.channels = kChannels;
  task.codes = codes.data();
  task.input = input_.data();
  task.weights = weights_.data();
  task.bias = bias_.data();
  task.multipliers = multipliers_.data();
  const auto plain = [&] { result = arithmetic(result); };
  const auto products = [&] {
    for (int i = 0; i < kProducts; ++i) kernels_.product(task);
  };
  plain();  // neither is to pay for caches that the runs before have taken
  const double plain_us = time_of_call(plain);
  products();
  return {plain_us, time_of_call(products)};
}

void ColdCache::read() const {
  unsigned sum = 0;
  for (std::size_t i = 0; i < memory_.size(); i += kLine) sum += static_cast<unsigned>(memory_[i]);
  const volatile unsigned result = sum;
  static_cast<void>(result);
}

}  // namespace coppice
