// Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), 60,000 + 10,000 grey images of 28 x 28. Files are
// identified by the SHA-256 of their decompressed bytes, because distributors recompress them.

#include <string>  // for string

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "data/image_files.h"
#include "data/loader.h"

namespace coppice {
namespace {

struct PublishedFile {
  const char* name;
  const char* sha256;
};
constexpr PublishedFile kTrainImages{
    "train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"};
constexpr PublishedFile kTrainLabels{
    "train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"};
constexpr PublishedFile kTestImages{
    "t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"};
constexpr PublishedFile kTestLabels{
    "t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"};

std::vector<std::filesystem::path> folders() {
  std::vector<std::filesystem::path> places = usual_places("/usr/share/datasets");
  for (std::filesystem::path& place : places) place /= "fashion-mnist";
  return places;
}

// The folder that holds the training images; empty if none does.
std::filesystem::path find_folder(const std::vector<std::filesystem::path>& places) {
  const std::string name = kTrainImages.name;
  return find_file(places, {name + ".gz", name}).parent_path();
}

IdxArray read_published(const std::filesystem::path& folder, const PublishedFile& file) {
  const std::string name = file.name;
  const std::filesystem::path path = find_file({folder}, {name + ".gz", name});
  if (path.empty()) {
    throw DataError(text("data set 'fashion_mnist': expected ", name, "[.gz] in ", folder.string(),
                         ", found nothing"));
  }
  IdxArray array = read_idx(*open_file(path));
  const std::string sha256 = sha256_hex(array.bytes);
  if (sha256 == file.sha256) return array;
  throw DataError(text(path.string(), ": not the published Fashion-MNIST file: expected sha256 ",
                       file.sha256, " of its decompressed bytes, got ", sha256));
}

}  // namespace

std::string locate_fashion_mnist() { return find_folder(folders()).string(); }

Dataset load_fashion_mnist(const DatasetRequest& request) {
  const std::filesystem::path folder = request.root.empty() ? find_folder(folders()) : request.root;
  if (folder.empty()) {
    throw DataError(
        "data set 'fashion_mnist': expected its files in /usr/share/datasets/fashion-mnist, found "
        "nothing; install the "
        "Debian package dataset-fashion-mnist, or name their folder in data.root");
  }
  Dataset dataset{.type = SampleType::kUint8, .classes = 10};
  dataset.label_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                         "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  IdxArray images = read_published(folder, kTrainImages);
  dataset.sample_shape = image_shape(images, folder.string());
  dataset.train = image_split(std::move(images), read_published(folder, kTrainLabels),
                              kTrainLabels.name, dataset.client_names);
  dataset.test =
      image_split(read_published(folder, kTestImages), read_published(folder, kTestLabels),
                  kTestLabels.name, dataset.client_names);
  finish_dataset(dataset, folder.string());
  return dataset;
}

}  // namespace coppice
