#include "data/image_files.h"

#include "core/error.h"
#include "core/text.h"
#include "data/loader.h"

namespace coppice {
namespace {

constexpr std::int64_t kQmnistColumns = 8;
constexpr std::int64_t kQmnistWriter = 2;

// N x H x W x C -> N x C x H x W.
std::vector<std::uint8_t> channels_first(std::span<const std::uint8_t> from, std::int64_t n,
                                         std::int64_t pixels, std::int64_t channels) {
  std::vector<std::uint8_t> to(from.size());
  auto out = to.begin();
  for (std::int64_t image = 0; image < n; ++image) {
    const std::uint8_t* values = from.data() + image * pixels * channels;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      for (std::int64_t pixel = 0; pixel < pixels; ++pixel)
        *out++ = values[pixel * channels + channel];
    }
  }
  return to;
}

}  // namespace

std::vector<std::int64_t> image_shape(const IdxArray& images, const std::string& source) {
  const std::vector<std::int64_t>& shape = images.shape;
  if (images.type != IdxType::kUint8) {
    throw DataError(source + ": expected images of unsigned bytes (type 08), got int32 (type 0c)");
  }
  switch (shape.size()) {
    case 2:
      return {shape[1]};
    case 3:
      return {1, shape[1], shape[2]};
    case 4:
      return {shape[3], shape[1], shape[2]};
    default:
      throw DataError(text(source, ": expected images N x F, N x H x W or N x H x W x C, got ",
                           join(shape, " x ")));
  }
}

Split image_split(IdxArray images, const IdxArray& labels, const std::string& labels_source,
                  std::vector<std::string>& client_names) {
  const bool has_writers = labels.type == IdxType::kInt32 && labels.shape.size() == 2 &&
                           labels.shape[1] == kQmnistColumns;
  if (labels.shape.size() != 1 && !has_writers) {
    throw DataError(
        text(labels_source, ": expected labels of rank 1, got ", join(labels.shape, " x ")));
  }
  if (labels.shape[0] != images.shape[0]) {
    throw DataError(text(labels_source, ": expected ", images.shape[0],
                         " labels, one an image, got ", labels.shape[0]));
  }
  Split split{.size = images.shape[0]};
  if (images.shape.size() == 4) {
    split.uint8s = channels_first(images.elements(), images.shape[0],
                                  images.shape[1] * images.shape[2], images.shape[3]);
  } else {
    images.bytes.erase(images.bytes.begin(),
                       images.bytes.begin() + static_cast<std::ptrdiff_t>(images.header_bytes));
    split.uint8s = std::move(images.bytes);
  }
  const std::vector<std::int32_t> columns = labels.to_int32();
  if (!has_writers) {
    split.labels = columns;
    return split;
  }
  std::vector<std::string> writers;
  for (std::size_t row = 0; row < columns.size(); row += kQmnistColumns) {
    split.labels.push_back(columns[row]);
    writers.push_back(text("writer ", columns[row + kQmnistWriter]));
  }
  split.client_keys = number_names(writers, client_names);
  return split;
}

}  // namespace coppice
