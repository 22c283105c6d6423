#pragma once
// A data set from numpy arrays, whatever file they lay in.

#include <optional>  // for optional
#include <string>    // for string

#include "data/dataset.h"
#include "data/npy.h"

namespace coppice {

// x: N x F (vectors) or N x C x H x W (images) of u1 (given out / 255) or f4, f8 (taken as they
// are); or N x T of i4, i8 (token ids). y: N labels, or N x T for one a position. client: N
// integers or strings.
struct NamedArrays {
  NpyArray x = {};
  NpyArray y = {};
  std::optional<NpyArray> client = {};
  std::optional<NpyArray> x_test = {};  // both or neither
  std::optional<NpyArray> y_test = {};
};

// Without x_test, `test_fraction` of the samples become the test split. Throws DataError, beginning
// with `source`, for arrays that do not fit together.
Dataset dataset_from_arrays(NamedArrays arrays, double test_fraction, const std::string& source);

}  // namespace coppice
