#pragma once
// A data set in memory: training and test samples with labels and, where the data says so, the
// client that owns each sample. Immutable once loaded, so any thread may read it; batches index it
// in place.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

// How samples are stored. kUint8 images are given out divided by 255; kInt32 values are token or
// category ids.
enum class SampleType { kUint8, kFloat32, kInt32 };

// Samples of one split. Row-major: sample i is values [i * sample_size, (i + 1) * sample_size).
struct Split {
  std::int64_t size = 0;                  // samples
  std::vector<std::uint8_t> uint8s = {};  // exactly one of the three is filled, by Dataset::type
  std::vector<float> float32s = {};
  std::vector<std::int32_t> int32s = {};
  std::vector<std::int32_t> labels = {};       // size * labels_per_sample, each in [0, classes)
  std::vector<std::int32_t> client_keys = {};  // empty, or one a sample, into client_names
};

struct Dataset {
  std::string name = {};
  SampleType type = SampleType::kUint8;
  // Images: {channels, height, width}; vectors: {features}; text: {context}.
  std::vector<std::int64_t> sample_shape = {};
  std::int64_t classes = 0;
  std::int64_t labels_per_sample = 1;  // text: context (the next character at each position)
  std::int64_t vocabulary = 0;         // of kInt32 samples: ids are in [0, vocabulary); else 0
  std::vector<std::string> label_names = {};  // empty, or `classes` of them
  // Natural clients, in order of first appearance; empty if the data has none.
  std::vector<std::string> client_names = {};
  // What a user should be told, a sentence each: clients that were left out, and why.
  std::vector<std::string> notes = {};
  Split train = {};
  Split test = {};  // may be empty (size 0); never used to decide anything

  std::int64_t sample_size() const;  // product of sample_shape
};

// What a loader is told (the `data:` section of a config).
struct DatasetRequest {
  std::string name = {};            // a line of datasets.def
  std::filesystem::path root = {};  // empty: the data set's usual places
  double test_fraction = 0.2;       // of data sets without an official test split
  std::string text_split = "none";  // text: none | speaker | book
  std::int64_t context = 64;        // text: characters a sample
  std::string label_column = "label";
  std::string client_column = "client";
};

// Loads the data set `request.name`. Throws ConfigError for an unknown name (naming the nearest
// known one), DataError for a missing, truncated or damaged file, saying which, what was expected
// and what was found.
std::unique_ptr<Dataset> load_dataset(const DatasetRequest& request);

// What another data set's samples must be like to be taken for these, in words: "1 x 28 x 28
// numbers, 1 label".
std::string sample_format(const Dataset& dataset);

struct DatasetInfo {
  std::string_view name;
  std::string_view sentence;  // what it is and where its files come from
};
std::span<const DatasetInfo> known_datasets();

// Where the data set's files are found at their usual places, for `coppice doctor`; empty if they
// are not, or if the data set is always named by data.root. Reads no content.
std::string locate_dataset(std::string_view name);

// Copies samples `indices` of `split` as fp32 into `out` (indices.size() * sample_size values):
// uint8 / 255, or the floats as they are, or the ids as floats. Throws ConfigError if an index or
// the size of `out` is wrong.
void gather_samples(const Dataset& dataset, const Split& split,
                    std::span<const std::int64_t> indices, std::span<float> out);
// The labels of the same samples, labels_per_sample each.
void gather_labels(const Dataset& dataset, const Split& split,
                   std::span<const std::int64_t> indices, std::span<std::int32_t> out);

}  // namespace coppice
