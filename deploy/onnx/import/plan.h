#pragma once
// The quantization plan of an imported network: which layer carries which grid, and the parameters
// as its integers want them. Internal to deploy/onnx.

#include <map>      // for map
#include <set>      // for set
#include <string>   // for string
#include <utility>  // for pair
#include <vector>   // for vector

#include "core/checkpoint.h"
#include "deploy/onnx/import/network.h"

namespace coppice::onnx_import {

// Grids stand on layers' outputs here, on the way between two nodes in ONNX. A layer carries the
// grid that all its readers read it through. One that only moves values has that of its input; if
// its readers alone have one, the grid moves to what it reads, which rounds the same values.
// References `layers` for as long as it lives.
class GridPlan {
 public:
  GridPlan(const std::vector<Layer>& layers, const Output& output);

  int carried(int layer) const { return carried_[static_cast<std::size_t>(layer)]; }

  // Grids through which some readers read the layer and which it does not carry.
  std::vector<int> extra(int layer) const;

  // The grid that a reader of `read` gets its values on.
  int effective(const Output& read) const;

  // What stands for an extra grid of a layer; name_of() then gives it.
  void rename(int layer, int grid, std::string name) { extra_[{layer, grid}] = std::move(name); }
  const std::string& name_of(const Output& read) const;

 private:
  void move_towards_sources();
  void carry();

  const std::vector<Layer>& layers_;
  std::vector<std::set<int>> grids_;  // that a layer is read through
  std::vector<int> readers_;          // of a layer
  std::vector<int> carried_;
  std::vector<int> effective_;  // of a layer's output as it is
  std::map<std::pair<int, int>, std::string> extra_;
};

ActivationQuant activation(std::string node, const Grid& grid);

// Appends the parameters of `layer` to those of `out`, and its weight's scales to the plan if it
// has codes. `input` is the grid of what the layer reads; null: none. Throws DataError naming the
// parameter for codes beyond [-127, 127], scales along another axis than the first, and values that
// are not finite.
void append_parameters(const Layer& layer, const Grid* input, Checkpoint& out);

}  // namespace coppice::onnx_import
