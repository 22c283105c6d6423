#include "data/loader.h"

#include <algorithm>      // for max_element, minmax_element, sort
#include <cmath>          // for floor
#include <cstdlib>        // for getenv
#include <unordered_map>  // for unordered_map
#include <utility>        // for move

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice {
namespace {

// More classes or tokens than this is a damaged file, not a data set.
constexpr std::int32_t kMaxClasses = 65'536;
constexpr std::int32_t kMaxVocabulary = 1 << 24U;

template <typename Value>
std::vector<Value> rows_of(const std::vector<Value>& values, std::span<const std::int64_t> rows,
                           std::int64_t width) {
  std::vector<Value> picked;
  if (values.empty()) return picked;
  picked.reserve(rows.size() * static_cast<std::size_t>(width));
  for (const std::int64_t row : rows) {
    const auto begin = values.begin() + row * width;
    picked.insert(picked.end(), begin, begin + width);
  }
  return picked;
}

Split rows_of(const Dataset& dataset, const Split& split, std::span<const std::int64_t> rows) {
  const std::int64_t width = dataset.sample_size();
  return {.size = static_cast<std::int64_t>(rows.size()),
          .uint8s = rows_of(split.uint8s, rows, width),
          .float32s = rows_of(split.float32s, rows, width),
          .int32s = rows_of(split.int32s, rows, width),
          .labels = rows_of(split.labels, rows, dataset.labels_per_sample),
          .client_keys = rows_of(split.client_keys, rows, 1)};
}

// Rows of each client; one group if the data has no clients.
std::vector<std::vector<std::int64_t>> rows_by_client(const Dataset& dataset) {
  const std::vector<std::int32_t>& keys = dataset.train.client_keys;
  std::vector<std::vector<std::int64_t>> groups(keys.empty() ? 1 : dataset.client_names.size());
  for (std::int64_t row = 0; row < dataset.train.size; ++row) {
    const std::size_t group =
        keys.empty() ? 0 : static_cast<std::size_t>(keys[static_cast<std::size_t>(row)]);
    groups[group].push_back(row);
  }
  return groups;
}

// Throws DataError unless every value is in [0, limit); returns the largest, or -1.
std::int32_t largest(const std::vector<std::int32_t>& values, std::int64_t limit,
                     const std::string& what) {
  if (values.empty()) return -1;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*low < 0 || *high >= limit) {
    throw DataError(
        text(what, ": expected values in [0, ", limit, "), got ", *low < 0 ? *low : *high));
  }
  return *high;
}

void check_lengths(const Dataset& dataset, const Split& split, const std::string& what) {
  const auto values =
      static_cast<std::int64_t>(dataset.type == SampleType::kUint8     ? split.uint8s.size()
                                : dataset.type == SampleType::kFloat32 ? split.float32s.size()
                                                                       : split.int32s.size());
  const auto labels = static_cast<std::int64_t>(split.labels.size());
  if (labels != split.size * dataset.labels_per_sample) {
    throw DataError(text(what, ": expected ", split.size * dataset.labels_per_sample,
                         " labels for ", split.size, " samples, got ", labels));
  }
  if (values != split.size * dataset.sample_size()) {
    throw DataError(text(what, ": expected ", split.size * dataset.sample_size(), " values for ",
                         split.size, " samples, got ", values));
  }
  const auto keys = static_cast<std::int64_t>(split.client_keys.size());
  if (keys != 0 && keys != split.size) {
    throw DataError(text(what, ": expected ", split.size, " client keys, got ", keys));
  }
}

}  // namespace

std::vector<std::filesystem::path> usual_places(const std::filesystem::path& system_place) {
  std::vector<std::filesystem::path> places;
  if (const char* folder = std::getenv("COPPICE_DATA"); folder != nullptr && *folder != '\0')
    places.emplace_back(folder);
  places.emplace_back(COPPICE_DEFAULT_DATA_DIR);
  places.push_back(system_place);
  return places;
}

std::filesystem::path find_file(const std::vector<std::filesystem::path>& folders,
                                const std::vector<std::string>& names) {
  std::error_code ignored;  // a folder that cannot be looked into has no file for us
  for (const std::filesystem::path& folder : folders) {
    for (const std::string& name : names) {
      if (std::filesystem::is_regular_file(folder / name, ignored)) return folder / name;
    }
  }
  return {};
}

std::filesystem::path required_root(const DatasetRequest& request, std::string_view what) {
  if (request.root.empty())
    throw ConfigError(text("data set '", request.name, "' needs data.root: ", what));
  std::error_code error;
  if (!std::filesystem::exists(request.root, error)) {
    throw DataError(text("data set '", request.name, "': data.root ", request.root.string(),
                         ": expected ", what, ", found nothing"));
  }
  return request.root;
}

void split_off_test(Dataset& dataset, double fraction) {
  std::vector<std::int64_t> train;
  std::vector<std::int64_t> test;
  const auto groups = rows_by_client(dataset);
  for (std::size_t client = 0; client < groups.size(); ++client) {
    const auto n = static_cast<std::int64_t>(groups[client].size());
    const auto wanted =
        static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(n) + 1e-9));
    const std::int64_t taken = std::max<std::int64_t>(0, std::min(wanted, n - 1));
    RandomStream stream(
        {.seed = 0, .purpose = Purpose::kTestSplit, .client = static_cast<std::int64_t>(client)});
    const std::vector<std::int64_t> order = random_permutation(n, stream);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row =
          groups[client][static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
      (i < taken ? test : train).push_back(row);
    }
  }
  std::sort(train.begin(), train.end());
  std::sort(test.begin(), test.end());
  dataset.test = rows_of(dataset, dataset.train, test);
  dataset.train = rows_of(dataset, dataset.train, train);
}

std::vector<std::int32_t> number_names(const std::vector<std::string>& names,
                                       std::vector<std::string>& distinct) {
  std::unordered_map<std::string_view, std::int32_t> numbers;
  std::vector<std::int32_t> keys;
  keys.reserve(names.size());
  for (const std::string& name : names) {
    const auto [found, is_new] =
        numbers.try_emplace(name, static_cast<std::int32_t>(distinct.size()));
    if (is_new) distinct.push_back(name);
    keys.push_back(found->second);
  }
  return keys;
}

void finish_dataset(Dataset& dataset, const std::string& source) {
  if (dataset.train.size == 0) {
    throw DataError(source + ": expected at least one training sample, got none");
  }
  if (dataset.sample_size() == 0 || dataset.labels_per_sample == 0) {
    throw DataError(source + ": expected at least one value and one label a sample, got none");
  }
  check_lengths(dataset, dataset.train, source + ": training split");
  check_lengths(dataset, dataset.test, source + ": test split");
  const std::int64_t limit = dataset.classes == 0 ? kMaxClasses : dataset.classes;
  const std::int32_t label =
      std::max(largest(dataset.train.labels, limit, source + ": training labels"),
               largest(dataset.test.labels, limit, source + ": test labels"));
  if (dataset.classes == 0) dataset.classes = std::int64_t{label} + 1;
  if (dataset.type != SampleType::kInt32) return;
  const std::int64_t ids = dataset.vocabulary == 0 ? kMaxVocabulary : dataset.vocabulary;
  const std::int32_t id = std::max(largest(dataset.train.int32s, ids, source + ": training ids"),
                                   largest(dataset.test.int32s, ids, source + ": test ids"));
  if (dataset.vocabulary == 0) dataset.vocabulary = std::int64_t{id} + 1;
}

}  // namespace coppice
