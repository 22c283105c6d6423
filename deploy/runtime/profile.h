#pragma once
// Where the time of a sample goes, whoever runs it. Internal.

#include <algorithm>  // for nth_element
#include <chrono>     // for steady_clock
#include <cstdint>    // for int64_t
#include <vector>     // for vector

#include "deploy/runtime/error.h"
#include "deploy/runtime/interpreter.h"
#include "deploy/runtime/step.h"

namespace coppice::runtime {

// 0 of nothing.
inline double median_of(std::vector<double>& values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Interpreter::profile(): `read` brings the sample in, step_of(x) is the Step of one of `steps`,
// run(x) runs it.
template <typename Steps, typename Read, typename StepOf, typename RunStep>
std::vector<NodeTime> profile_steps(const Program& program, const Steps& steps, std::int64_t runs,
                                    const Read& read, const StepOf& step_of, const RunStep& run) {
  using Clock = std::chrono::steady_clock;
  if (runs < 1) fail("expected at least one run to profile, got ", runs);
  std::vector<std::vector<double>> times(program.nodes.size());  // in microseconds, by node
  for (std::vector<double>& of_node : times) of_node.reserve(static_cast<std::size_t>(runs));
  for (std::int64_t i = 0; i < runs; ++i) {
    Clock::time_point before = Clock::now();
    const auto count = [&](std::size_t node) {
      const Clock::time_point now = Clock::now();
      times[node].push_back(std::chrono::duration<double, std::micro>(now - before).count());
      before = Clock::now();  // what is written down between two nodes is neither's
    };
    read();
    count(0);
    for (const auto& step : steps) {
      run(step);
      count(static_cast<std::size_t>(step_of(step).node - program.nodes.data()));
    }
  }
  std::vector<NodeTime> out;
  for (std::size_t i = 0; i < times.size(); ++i)
    out.push_back({program.nodes[i].name, median_of(times[i])});
  return out;
}

}  // namespace coppice::runtime
