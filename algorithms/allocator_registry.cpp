#include "algorithms/allocator.h"

#include <algorithm>  // for max

#include "core/error.h"
#include "core/text.h"

namespace coppice {

#define COPPICE_ALLOCATOR(name, sentence) std::unique_ptr<Allocator> make_##name##_allocator();
#include "algorithms/allocators.def"
#undef COPPICE_ALLOCATOR

namespace {

constexpr AllocatorInfo kAllocators[] = {
#define COPPICE_ALLOCATOR(name, sentence) {#name, sentence},
#include "algorithms/allocators.def"
#undef COPPICE_ALLOCATOR
};

}  // namespace

std::span<const AllocatorInfo> known_allocators() { return kAllocators; }

std::unique_ptr<Allocator> make_allocator(std::string_view name) {
#define COPPICE_ALLOCATOR(name_, sentence) \
  if (name == #name_) return make_##name_##_allocator();
#include "algorithms/allocators.def"
#undef COPPICE_ALLOCATOR
  std::vector<std::string_view> names;
  for (const AllocatorInfo& info : kAllocators) names.push_back(info.name);
  throw ConfigError(unknown_name("allocator", name, names));
}

void check(const AllocationProblem& problem) {
  if (problem.tensors.empty()) throw ConfigError("allocator: expected a tensor, got none");
  if (!problem.budget.bytes && !problem.budget.microseconds)
    throw ConfigError("allocator: expected a budget of bytes or microseconds, got none");
  if (problem.costs.size() != problem.tensors.size()) {
    throw ConfigError(text("allocator: expected costs of ", problem.tensors.size(),
                           " tensors, got ", problem.costs.size()));
  }
  if (problem.candidates.size() != problem.tensors.size()) {
    throw ConfigError(text("allocator: expected candidates of ", problem.tensors.size(),
                           " tensors, got ", problem.candidates.size()));
  }
  for (std::size_t i = 0; i < problem.costs.size(); ++i) {
    const std::string& name = problem.tensors[i].name;
    if (problem.candidates[i].empty())
      throw ConfigError(text("allocator: ", name, ": expected a candidate, got none"));
    if (problem.tensors[i].weights.empty())
      throw ConfigError(text("allocator: ", name, ": expected weights"));
    if (problem.costs[i].size() == problem.candidates[i].size()) continue;
    throw ConfigError(text("allocator: ", name, ": expected costs of ",
                           problem.candidates[i].size(), " candidates, got ",
                           problem.costs[i].size()));
  }
}

std::int64_t bytes_alone(const AllocationProblem& problem) {
  check(problem);
  if (problem.budget.microseconds)
    throw ConfigError("allocator: expected no budget of microseconds: this one knows bytes alone");
  return problem.budget.bytes.value();
}

std::span<const WeightCandidate> common_candidates(const AllocationProblem& problem) {
  check(problem);
  for (std::size_t i = 1; i < problem.candidates.size(); ++i) {
    if (problem.candidates[i] == problem.candidates.front()) continue;
    throw ConfigError(text("allocator: ", problem.tensors[i].name,
                           ": expected the candidates of the first tensor, this one knows no "
                           "widths"));
  }
  return problem.candidates.front();
}

int fixed_bits(std::span<const WeightCandidate> candidates) {
  constexpr int kUsualBits = 4;
  int largest = 0;
  for (const WeightCandidate& candidate : candidates) {
    if (candidate.bits == kUsualBits) return kUsualBits;
    largest = std::max(largest, candidate.bits);
  }
  return largest;
}

}  // namespace coppice
