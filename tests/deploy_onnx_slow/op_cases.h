#pragma once
// Small graphs that together use every operation whose onnx cell says `yes`.

#include <string>
#include <vector>

#include "core/graph.h"

namespace coppice {

struct OpCase {
  std::string name;
  Graph graph;
  std::int64_t vocabulary = 0;  // of graphs on ids
};

std::vector<OpCase> op_cases();

}  // namespace coppice
