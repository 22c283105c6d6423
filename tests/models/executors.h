#pragma once
// Tests of what every executor promises run once with each.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "models/executor.h"

namespace coppice {

// "resident" takes LibTorch's for the graphs that it cannot run, as a run does.
class EveryExecutor : public ::testing::TestWithParam<std::string> {
 public:
  static std::unique_ptr<Executor> make(Graph graph) {
    return make_executor(GetParam() == "resident" ? "auto" : GetParam(), std::move(graph));
  }
};

#define COPPICE_EVERY_EXECUTOR(suite)                                            \
  INSTANTIATE_TEST_SUITE_P(Of, suite, ::testing::Values("resident", "libtorch"), \
                           [](const auto& of) { return of.param; })

}  // namespace coppice
