#pragma once
// What is known of a tensor while a file is read: a layer's output, a constant, a shape, or the
// part of a layer that several ONNX nodes say together. Internal to deploy/onnx. Plain values.

#include <array>     // for array
#include <cstdint>   // for int64_t
#include <limits>    // for numeric_limits
#include <memory>    // for shared_ptr
#include <optional>  // for optional
#include <string>    // for string
#include <variant>   // for variant
#include <vector>    // for vector

#include "core/graph.h"
#include "deploy/onnx/import/file.h"

namespace coppice::onnx_import {

// Unsigned 8-bit codes of an activation.
struct Grid {
  float scale = 1.0F;
  int zero_point = 0;

  friend bool operator==(const Grid&, const Grid&) = default;
};

// Known fp32 values. Of a dequantized tensor they are codes times scales, and the codes are kept.
struct Constant {
  std::string name;  // of the initializer they come from
  Shape dims;
  std::vector<float> values;
  std::vector<std::int32_t> codes;  // less the zero point; empty: never were integers
  std::vector<float> scales;        // of the codes: one, or one an index of `axis`
  std::size_t axis = 0;
  std::string remark;  // of the codes' initializer

  bool is_scalar() const { return values.size() == 1; }
};
// Shared by the values that were made of it and the layers that have it as a parameter.
using ConstantPtr = std::shared_ptr<const Constant>;

// The output of a layer, in the shape that ONNX gives it: {C, 1, 1} for a layer's {C}. `grid` says
// through which of the network's grids it is read; kNoGrid: as it is.
inline constexpr int kNoGrid = -1;
struct Output {
  int layer = 0;
  int grid = kNoGrid;
  Shape view;

  friend bool operator==(const Output&, const Output&) = default;
};

// QuantizeLinear's result.
struct Codes {
  Output of;
  Grid grid;
};

// Whole numbers that shapes and indices are made of; kBatch stands for the batch's size.
inline constexpr std::int64_t kBatch = std::numeric_limits<std::int64_t>::min();
struct Integers {
  std::vector<std::int64_t> values;
  bool is_scalar = false;
};

// (x - mean) / deviation with scalars.
struct Affine {
  Output x;
  double mean = 0.0;
  double deviation = 1.0;
};

// x and what is done to it on the way to x / 2 (1 + erf(x / sqrt 2)).
struct Gelu {
  enum class Stage { kErf, kPlusOne, kHalf, kProduct };
  Output x;
  Stage stage = Stage::kErf;
};

// x between its groups' statistics and the channels' factors.
struct GroupNorm {
  enum class Stage { kGrouped, kNormalized, kImage, kScaled };
  Output x;
  Stage stage = Stage::kGrouped;
  std::int64_t groups = 1;
  double epsilon = 0.0;
  ConstantPtr weight;  // null: ones
  ConstantPtr bias;    // null: zeros
};

// x on the way to (x - mean) / sqrt(variance + epsilon) of its features.
struct LayerNorm {
  enum class Stage {
    kMean,
    kCentred,
    kSquared,
    kVariance,
    kShifted,
    kDeviation,
    kNormalized,
    kScaled
  };
  Output x;
  Stage stage = Stage::kMean;
  double epsilon = 0.0;
  ConstantPtr weight;  // null: ones
};

// x multiplied by a matrix [out, in], with or without a bias yet.
struct Projection {
  Output x;
  ConstantPtr weight;
  ConstantPtr bias;  // null: none
};

// One of attention's inputs on its way into heads.
struct Heads {
  Projection projection;
  std::int64_t heads = 1;
  std::int64_t size = 0;
  enum class Stage { kSplit, kByHead, kTransposed } stage = Stage::kSplit;
};

// What becomes of the queries' and keys' products.
struct Attention {
  enum class Stage { kProducts, kScaled, kShares, kMixed, kSteps, kFeatures, kProjected };
  Stage stage = Stage::kProducts;
  std::array<Projection, 4> projections;  // query, key, value, output
  std::int64_t heads = 1;
  std::int64_t size = 0;
  bool is_causal = false;
};

// x with a border of zeros.
struct Padded {
  Output x;
  Pair padding{0, 0};
};

using Value = std::variant<Output, ConstantPtr, const FileTensor*, Integers, Codes, Affine, Gelu,
                           GroupNorm, LayerNorm, Projection, Heads, Attention, Padded>;

}  // namespace coppice::onnx_import
