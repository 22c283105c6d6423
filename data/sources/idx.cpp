// Any data set in IDX files named as MNIST's are:
// {train,t10k}-{images,labels}-idx*-{ubyte,int}[.gz] in one folder.

#include <algorithm>  // for all_of, sort
#include <cctype>     // for isdigit

#include "core/error.h"
#include "core/text.h"
#include "data/image_files.h"
#include "data/loader.h"

namespace coppice {
namespace {

// Whether `name` is prefix, digits, "-ubyte" or "-int", and perhaps ".gz".
bool is_idx_name(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  if (name.ends_with(".gz")) name.remove_suffix(3);
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos) return false;
  const std::string_view digits = name.substr(0, dash);
  const std::string_view type = name.substr(dash);
  return std::all_of(digits.begin(), digits.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; }) &&
         (type == "-ubyte" || type == "-int");
}

// The file of `prefix` in `folder`, the plain one where a .gz lies beside it; empty if there is
// none.
std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (const std::string name = entry.path().filename().string(); is_idx_name(name, prefix))
      names.push_back(name);
  }
  if (names.empty()) return {};
  std::sort(names.begin(), names.end());
  const std::string& first = names.front();
  for (const std::string& name : names) {
    if (name == first || name == first + ".gz") continue;
    throw DataError(text(folder.string(), ": expected one file ", prefix, "*, got ", join(names)));
  }
  return folder / first;
}

struct Found {
  std::filesystem::path images;
  std::filesystem::path labels;
};

Found find_pair(const std::filesystem::path& folder, const std::string& split) {
  return {find_idx(folder, split + "-images-idx"), find_idx(folder, split + "-labels-idx")};
}

[[noreturn]] void fail_missing(const std::filesystem::path& folder, const std::string& split,
                               const Found& found) {
  throw DataError(text("data set 'idx': ", folder.string(), ": expected ", split, "-",
                       found.images.empty() ? "images" : "labels",
                       "-idx*-ubyte[.gz], found nothing"));
}

}  // namespace

std::string locate_idx() { return {}; }

Dataset load_idx(const DatasetRequest& request) {
  const std::filesystem::path folder = required_root(request, "a folder of IDX files");
  if (!std::filesystem::is_directory(folder)) {
    throw DataError(text("data set 'idx': data.root ", folder.string(),
                         ": expected a folder of IDX files, got a file"));
  }
  const Found train = find_pair(folder, "train");
  if (train.images.empty() || train.labels.empty()) fail_missing(folder, "train", train);
  const Found test = find_pair(folder, "t10k");
  if (test.images.empty() != test.labels.empty()) fail_missing(folder, "t10k", test);

  Dataset dataset{.type = SampleType::kUint8};
  IdxArray images = read_idx(*open_file(train.images));
  dataset.sample_shape = image_shape(images, train.images.string());
  dataset.train = image_split(std::move(images), read_idx(*open_file(train.labels)),
                              train.labels.string(), dataset.client_names);
  if (test.images.empty()) {
    finish_dataset(dataset, folder.string());
    split_off_test(dataset, request.test_fraction);
    return dataset;
  }
  IdxArray test_images = read_idx(*open_file(test.images));
  if (image_shape(test_images, test.images.string()) != dataset.sample_shape) {
    throw DataError(text(test.images.string(), ": expected images like the training ones, ",
                         join(dataset.sample_shape, " x "), ", got ",
                         join(test_images.shape, " x ")));
  }
  // Writers of test images are of no use here: nobody trains on them.
  std::vector<std::string> test_writers;
  dataset.test = image_split(std::move(test_images), read_idx(*open_file(test.labels)),
                             test.labels.string(), test_writers);
  dataset.test.client_keys.clear();
  finish_dataset(dataset, folder.string());
  return dataset;
}

}  // namespace coppice
