#pragma once
// The network as it grows: layers with their constants, and who reads whose output through which
// grid. finish() makes a Checkpoint of it. Internal to deploy/onnx.

#include <cstdint>      // for int64_t
#include <set>          // for set
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/checkpoint.h"
#include "deploy/onnx/import/value.h"

namespace coppice::onnx_import {

struct Layer {
  LayerSpec spec;  // inputs are filled in by finish()
  OpKind op = OpKind::input;
  std::vector<Output> inputs;
  std::vector<ConstantPtr> parameters;  // in the operation's order
  Shape shape;
};

class Network {
 public:
  // `elements` bounds charge(). Throws ConfigError for an input of a size that no layer has.
  Network(InputSpec input, std::int64_t elements);

  // Asked before values are decoded, copied or made: a small file can ask for many by using one
  // tensor again and again. Throws DataError when more than `elements` were.
  void charge(std::int64_t elements);

  const Layer& layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }
  const InputSpec& input() const { return input_; }

  // Appends a layer and returns its output. It is named after its first parameter ("conv1.weight"),
  // else `wanted`. Throws ConfigError for shapes that do not fit, DataError for
  // parameters of another size than the operation's.
  Output add(OpKind op, std::string_view wanted, std::vector<Output> inputs,
             const Attributes& attributes, std::vector<ConstantPtr> parameters);

  // The same output read through `grid`: what QuantizeLinear and DequantizeLinear leave of it.
  Output quantize(const Output& output, const Grid& grid);

  // Graph, parameters and plan; `output` is what the file calls its output. Where one grid a layer
  // does not say what the file says (two readers with two grids, or one with none), the layer is
  // followed by a normalize of mean 0 and deviation 1, which changes nothing, with the other grid.
  Checkpoint finish(const Output& output) &&;

 private:
  // The stem of the parameter's name (null: none), or `wanted`, made unique.
  std::string name_for(std::string_view wanted, const Constant* first);

  InputSpec input_;
  std::int64_t elements_left_;
  std::vector<Layer> layers_;  // the first is the input
  std::vector<Grid> grids_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace coppice::onnx_import
