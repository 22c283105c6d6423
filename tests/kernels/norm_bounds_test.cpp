// Norms over images that end where memory ends: nothing behind the last value is read or written,
// however few the channels.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/integer/integer.h"

namespace coppice::kernels {
namespace {

// Values that end at a page which must not be touched.
template <typename Value>
class AtTheEdge {
 public:
  explicit AtTheEdge(std::int64_t count) : count_(static_cast<std::size_t>(count)) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    bytes_ = (count_ * sizeof(Value) + page - 1) / page * page;
    memory_ =
        ::mmap(nullptr, bytes_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED || ::mprotect(end(), page, PROT_NONE) != 0)
      throw std::runtime_error("no page for the test");
    page_ = page;
  }
  ~AtTheEdge() { ::munmap(memory_, bytes_ + page_); }
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;

  std::span<Value> values() const { return {reinterpret_cast<Value*>(end()) - count_, count_}; }

 private:
  char* end() const { return static_cast<char*>(memory_) + bytes_; }

  std::size_t count_;
  std::size_t bytes_ = 0;
  std::size_t page_ = 0;
  void* memory_ = nullptr;
};

float input_at(std::int64_t i) { return static_cast<float>(i % 23) - 11.0F; }

class NormBoundsTest : public ::testing::TestWithParam<const IntegerKernels*> {};

TEST_P(NormBoundsTest, ValuesAndCodesOfFewAndOddChannels) {
  for (std::int64_t channels = 1; channels <= 70; ++channels) {
    std::vector<float> means(static_cast<std::size_t>(channels));
    std::iota(means.begin(), means.end(), -3.0F);
    const std::vector<float> factors(means.size(), 0.5F);
    const std::vector<float> bias(means.size(), 1.25F);
    for (const std::int64_t pixels : {1, 2, 3, 7, 33}) {
      const std::int64_t count = pixels * channels;
      const auto expected = [&](std::int64_t i) {
        const auto channel = static_cast<std::size_t>(i % channels);
        return (input_at(i) - means[channel]) * 0.5F + 1.25F;
      };
      const AtTheEdge<float> input(count);
      const AtTheEdge<float> output(count);
      const AtTheEdge<std::uint8_t> codes(count);
      Affine task;
      task.pixels = pixels;
      task.channels = channels;
      task.input = input.values().data();
      task.means = means.data();
      task.factors = factors.data();
      task.bias = bias.data();
      task.scale = 0.25F;
      task.zero_point = 128;
      const auto fill = [&] {
        for (std::int64_t i = 0; i < count; ++i)
          input.values()[static_cast<std::size_t>(i)] = input_at(i);
      };
      fill();
      task.values = output.values().data();
      GetParam()->affine(task);
      for (std::int64_t i = 0; i < count; ++i)
        ASSERT_EQ(output.values()[static_cast<std::size_t>(i)], expected(i)) << channels;
      task.values = nullptr;
      task.codes = codes.values().data();
      GetParam()->affine(task);
      for (std::int64_t i = 0; i < count; ++i) {
        const float code = std::clamp(std::nearbyint(expected(i) / 0.25F) + 128.0F, 0.0F, 255.0F);
        ASSERT_EQ(codes.values()[static_cast<std::size_t>(i)], code) << channels;
      }
      task.codes = nullptr;
      task.values = input.values().data();  // where it lies
      GetParam()->affine(task);
      for (std::int64_t i = 0; i < count; ++i)
        ASSERT_EQ(input.values()[static_cast<std::size_t>(i)], expected(i)) << channels;
    }
  }
}

TEST_P(NormBoundsTest, MomentsAndGrids) {
  for (std::int64_t channels = 1; channels <= 70; ++channels) {
    for (const std::int64_t pixels : {1, 2, 7}) {
      const AtTheEdge<float> input(pixels * channels);
      std::ranges::fill(input.values(), 2.0F);
      const AtTheEdge<double> sums(channels);
      const AtTheEdge<double> squares(channels);
      GetParam()->moments({.input = input.values().data(),
                           .pixels = pixels,
                           .channels = channels,
                           .sums = sums.values().data(),
                           .squares = squares.values().data()});
      for (const double sum : sums.values()) ASSERT_EQ(sum, 2.0 * static_cast<double>(pixels));
      for (const double sum : squares.values()) ASSERT_EQ(sum, 4.0 * static_cast<double>(pixels));
      const AtTheEdge<std::uint8_t> codes(pixels * channels);
      GetParam()->quantize({.values = input.values().data(),
                            .count = pixels * channels,
                            .scale = 0.5F,
                            .zero_point = 3,
                            .codes = codes.values().data()});
      for (const std::uint8_t code : codes.values()) ASSERT_EQ(code, 7);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, NormBoundsTest,
                         ::testing::ValuesIn(all_integer_kernels().begin(),
                                             all_integer_kernels().end()),
                         [](const auto& kernels) {
                           std::string name = kernels.param->isa;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace coppice::kernels
