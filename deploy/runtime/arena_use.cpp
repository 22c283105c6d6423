#include "deploy/runtime/arena_use.h"

#include <algorithm>  // for fill
#include <cstddef>    // for byte
#include <cstring>    // for memcmp
#include <vector>     // for vector

#include "deploy/runtime/error.h"

namespace coppice::runtime {
namespace {

std::vector<float> run_over(Engine& engine, std::span<const float> sample, std::byte before) {
  std::ranges::fill(engine.arena(), before);
  std::vector<float> logits(static_cast<std::size_t>(engine.logit_count()));
  engine.run(sample, logits);
  return logits;
}

}  // namespace

ArenaUse arena_use(Engine& engine, std::span<const float> sample) {
  constexpr std::byte kOnes{0xFF};
  constexpr std::byte kZeros{0x00};
  const std::span<std::byte> arena = engine.arena();
  const std::vector<float> first = run_over(engine, sample, kOnes);
  std::vector<bool> is_written(arena.size());
  for (std::size_t i = 0; i < arena.size(); ++i) is_written[i] = arena[i] != kOnes;
  const std::vector<float> second = run_over(engine, sample, kZeros);
  // Bits: what is not a number would differ from itself.
  if (std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) != 0)
    fail("a run reads bytes of the arena that it has not written");
  ArenaUse use{.planned_bytes = static_cast<std::int64_t>(arena.size())};
  for (std::size_t i = 0; i < arena.size(); ++i) {
    if (!is_written[i] && arena[i] == kZeros) continue;
    ++use.written_bytes;
    use.high_water_bytes = static_cast<std::int64_t>(i) + 1;
  }
  return use;
}

}  // namespace coppice::runtime
