#include "data/array_dataset.h"

#include <utility>  // for move

#include "core/error.h"
#include "core/text.h"
#include "data/loader.h"

namespace coppice {
namespace {

SampleType sample_type(const NpyArray& x) {
  if (x.kind == 'u') return SampleType::kUint8;
  if (x.kind == 'f') return SampleType::kFloat32;
  if (x.kind == 'i' && x.shape.size() == 2) return SampleType::kInt32;
  throw DataError(text(x.name, ": expected u1, f4 or f8 samples, or ids N x T of i4 or i8, got ",
                       x.type_name(), " ", join(x.shape, " x ")));
}

std::vector<std::int64_t> sample_shape(const NpyArray& x) {
  if (x.shape.size() == 2 || x.shape.size() == 4) return {x.shape.begin() + 1, x.shape.end()};
  throw DataError(text(x.name, ": expected vectors N x F or images N x C x H x W, got rank ",
                       x.shape.size(), ": ", join(x.shape, " x ")));
}

std::int64_t labels_per_sample(const NpyArray& y) {
  if (y.shape.size() == 1) return 1;
  if (y.shape.size() == 2) return y.shape[1];
  throw DataError(text(y.name, ": expected N labels, or N x T, got rank ", y.shape.size(), ": ",
                       join(y.shape, " x ")));
}

Split split_of(NpyArray x, const NpyArray& y, const Dataset& dataset) {
  if (sample_type(x) != dataset.type || sample_shape(x) != dataset.sample_shape) {
    throw DataError(text(x.name, ": expected samples like x, ", join(dataset.sample_shape, " x "),
                         ", got ", x.type_name(), " ", join(x.shape, " x ")));
  }
  if (labels_per_sample(y) != dataset.labels_per_sample || y.shape[0] != x.shape[0]) {
    throw DataError(text(y.name, ": expected ", x.shape[0], " x ", dataset.labels_per_sample,
                         " labels, got ", join(y.shape, " x ")));
  }
  Split split{.size = x.shape[0], .labels = y.to_int32()};
  switch (dataset.type) {
    case SampleType::kUint8:
      split.uint8s = std::move(x.bytes);
      break;
    case SampleType::kFloat32:
      split.float32s = x.to_float32();
      break;
    case SampleType::kInt32:
      split.int32s = x.to_int32();
      break;
  }
  return split;
}

}  // namespace

Dataset dataset_from_arrays(NamedArrays arrays, double test_fraction, const std::string& source) {
  if (arrays.x_test.has_value() != arrays.y_test.has_value()) {
    throw DataError(text(source, ": expected x_test and y_test, got ",
                         arrays.x_test ? "x_test" : "y_test", " only"));
  }
  Dataset dataset{.type = sample_type(arrays.x),
                  .sample_shape = sample_shape(arrays.x),
                  .labels_per_sample = labels_per_sample(arrays.y)};
  dataset.train = split_of(std::move(arrays.x), arrays.y, dataset);
  if (arrays.client) {
    if (arrays.client->shape != std::vector{dataset.train.size}) {
      throw DataError(text(arrays.client->name, ": expected ", dataset.train.size,
                           " client keys, got shape ", join(arrays.client->shape, " x ")));
    }
    dataset.train.client_keys = number_names(arrays.client->to_strings(), dataset.client_names);
  }
  if (arrays.x_test) dataset.test = split_of(std::move(*arrays.x_test), *arrays.y_test, dataset);
  finish_dataset(dataset, source);
  if (!arrays.x_test) split_off_test(dataset, test_fraction);
  return dataset;
}

}  // namespace coppice
