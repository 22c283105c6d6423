#pragma once
// Images and labels in IDX arrays turned into a split: shared by the loaders of fashion_mnist and
// idx.

#include "data/dataset.h"
#include "data/idx.h"

namespace coppice {

// The shape of one sample of `images`: N x F -> {F}; N x H x W -> {1, H, W}; N x H x W x C -> {C,
// H, W}. Throws DataError, naming `source`, for another rank or for int32 elements.
std::vector<std::int64_t> image_shape(const IdxArray& images, const std::string& source);

// The images as uint8s (channels first) and their labels. Labels have rank 1, or are QMNIST's
// extended ones: int32, N x 8, class in column 0 and writer in column 2, who becomes the client
// (named "writer 123"; `client_names` grows). Throws DataError, naming `labels_source`, for another
// shape or another count than the images'.
Split image_split(IdxArray images, const IdxArray& labels, const std::string& labels_source,
                  std::vector<std::string>& client_names);

}  // namespace coppice
