// The small tables that scikit-learn carries (BSD-3): comma-separated numbers, the label last.
// `digits` has no header; the others begin with a line "samples,features,class names...".

#include <utility>  // for move

#include "core/error.h"
#include "core/text.h"
#include "data/byte_source.h"
#include "data/delimited.h"
#include "data/loader.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;
constexpr const char* kSystemPlace = "/usr/lib/python3/dist-packages/sklearn/datasets/data";

struct TableSpec {
  std::string name;
  std::string file;  // with or without .gz
  std::vector<std::int64_t> sample_shape;
  std::vector<std::string> label_names;  // empty: named in the file's first line
  float scale = 1.0F;                    // features are multiplied by it
};

const std::vector<std::string> kDigitNames = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

TableSpec digits() { return {"digits", "digits.csv", {1, 8, 8}, kDigitNames, 1.0F / 16.0F}; }
TableSpec breast_cancer() { return {"breast_cancer", "breast_cancer.csv", {30}, {}}; }
TableSpec iris() { return {"iris", "iris.csv", {4}, {}}; }
TableSpec wine() { return {"wine", "wine_data.csv", {13}, {}}; }

std::filesystem::path find_table(const TableSpec& spec,
                                 const std::vector<std::filesystem::path>& folders) {
  return find_file(folders, {spec.file + ".gz", spec.file});
}

std::filesystem::path table_path(const TableSpec& spec, const DatasetRequest& request) {
  if (!request.root.empty()) {
    std::filesystem::path root = required_root(request, spec.file + "[.gz] or its folder");
    if (!std::filesystem::is_directory(root)) return root;
    std::filesystem::path path = find_table(spec, {root});
    if (!path.empty()) return path;
    throw DataError(text("data set '", spec.name, "': expected ", spec.file, "[.gz] in ",
                         root.string(), ", found nothing"));
  }
  std::filesystem::path path = find_table(spec, usual_places(kSystemPlace));
  if (!path.empty()) return path;
  throw DataError(text("data set '", spec.name, "': expected ", spec.file, "[.gz] in ",
                       kSystemPlace,
                       ", found nothing; install the Debian package python3-sklearn, or name its "
                       "folder in data.root or "
                       "COPPICE_DATA"));
}

// The samples that the first line promises; its class names become the label names.
std::int64_t read_first_line(DelimitedReader& reader, std::int64_t features,
                             std::vector<std::string>& label_names) {
  std::vector<std::string> fields;
  std::int64_t samples = 0;
  std::int64_t columns = 0;
  if (!reader.next(fields) || fields.size() < 3 || !parse_integer(fields[0], samples) ||
      !parse_integer(fields[1], columns) || columns != features) {
    throw DataError(text(reader.where(), ": expected samples,", features, ",class names"));
  }
  label_names.assign(fields.begin() + 2, fields.end());
  return samples;
}

void read_rows(DelimitedReader& reader, const TableSpec& spec, Dataset& dataset) {
  const auto features = static_cast<std::size_t>(dataset.sample_size());
  std::vector<std::string> columns;
  for (std::size_t i = 0; i < features; ++i) columns.push_back(std::to_string(i));
  std::vector<std::string> fields;
  while (reader.next(fields)) {
    if (fields.size() != features + 1) {
      throw DataError(
          text(reader.where(), ": expected ", features + 1, " fields, got ", fields.size()));
    }
    for (std::size_t i = 0; i < features; ++i) {
      dataset.train.float32s.push_back(parse_feature(fields[i], reader, columns[i]) * spec.scale);
    }
    std::int64_t label = -1;
    if (!parse_integer(fields[features], label) || label < 0 || label >= dataset.classes) {
      throw DataError(text(reader.where(), ": expected a label in [0, ", dataset.classes,
                           "), got '", fields[features].substr(0, 64), "'"));
    }
    dataset.train.labels.push_back(static_cast<std::int32_t>(label));
    ++dataset.train.size;
  }
}

Dataset load_table(const TableSpec& spec, const DatasetRequest& request) {
  const std::filesystem::path path = table_path(spec, request);
  const std::string content = read_text(*open_file(path), kMaxFileBytes);
  DelimitedReader reader(content, path.string());
  Dataset dataset{.type = SampleType::kFloat32,
                  .sample_shape = spec.sample_shape,
                  .label_names = spec.label_names};
  const bool has_first_line = spec.label_names.empty();
  const std::int64_t promised =
      has_first_line ? read_first_line(reader, dataset.sample_size(), dataset.label_names) : 0;
  dataset.classes = static_cast<std::int64_t>(dataset.label_names.size());
  read_rows(reader, spec, dataset);
  if (has_first_line && dataset.train.size != promised) {
    throw DataError(text(path.string(), ": expected the ", promised,
                         " samples of its first line, got ", dataset.train.size));
  }
  finish_dataset(dataset, path.string());
  split_off_test(dataset, request.test_fraction);
  return dataset;
}

std::string locate_table(const TableSpec& spec) {
  return find_table(spec, usual_places(kSystemPlace)).string();
}

}  // namespace

std::string locate_digits() { return locate_table(digits()); }
std::string locate_breast_cancer() { return locate_table(breast_cancer()); }
std::string locate_iris() { return locate_table(iris()); }
std::string locate_wine() { return locate_table(wine()); }

Dataset load_digits(const DatasetRequest& request) { return load_table(digits(), request); }
Dataset load_breast_cancer(const DatasetRequest& request) {
  return load_table(breast_cancer(), request);
}
Dataset load_iris(const DatasetRequest& request) { return load_table(iris(), request); }
Dataset load_wine(const DatasetRequest& request) { return load_table(wine(), request); }

}  // namespace coppice
