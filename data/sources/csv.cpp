// A CSV file: a header line, a label column of integers or names, an optional client column, all
// others float features.

#include <algorithm>  // for find, lower_bound, min, sort, unique
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"
#include "data/byte_source.h"
#include "data/delimited.h"
#include "data/loader.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 32U;
constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);
constexpr std::string_view kDefaultClientColumn = "client";

struct Columns {
  std::vector<std::string> names = {};
  std::size_t label = kAbsent;
  std::size_t client = kAbsent;
  std::int64_t features = 0;
};

std::size_t column_named(const std::vector<std::string>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? kAbsent : static_cast<std::size_t>(found - names.begin());
}

[[noreturn]] void fail_unknown_column(const std::string& where, const std::string& name,
                                      const Columns& columns) {
  // A damaged header may be one endless line: name a few columns only.
  const std::size_t shown = std::min<std::size_t>(columns.names.size(), 20);
  std::vector<std::string_view> known;
  for (std::size_t i = 0; i < shown; ++i)
    known.push_back(std::string_view(columns.names[i]).substr(0, 64));
  throw DataError(text(where, ": ", unknown_name("column", name, known)));
}

Columns find_columns(std::vector<std::string> names, const DatasetRequest& request,
                     const std::string& where) {
  Columns columns{.names = std::move(names)};
  columns.label = column_named(columns.names, request.label_column);
  if (columns.label == kAbsent) fail_unknown_column(where, request.label_column, columns);
  if (!request.client_column.empty())
    columns.client = column_named(columns.names, request.client_column);
  const bool is_asked_for =
      !request.client_column.empty() && request.client_column != kDefaultClientColumn;
  if (columns.client == kAbsent && is_asked_for)
    fail_unknown_column(where, request.client_column, columns);
  if (columns.client == columns.label) {
    throw ConfigError(
        text("data.label_column and data.client_column are both '", request.label_column, "'"));
  }
  columns.features =
      static_cast<std::int64_t>(columns.names.size()) - (columns.client == kAbsent ? 1 : 2);
  return columns;
}

// Integers are class ids as they are; any other text makes all labels names, numbered in sorted
// order.
void set_labels(const std::vector<std::string>& labels, const std::string& source,
                Dataset& dataset) {
  std::vector<std::int64_t> ids(labels.size());
  bool are_integers = true;
  for (std::size_t i = 0; i < labels.size() && are_integers; ++i)
    are_integers = parse_integer(labels[i], ids[i]);
  if (!are_integers) {
    dataset.label_names = labels;
    std::sort(dataset.label_names.begin(), dataset.label_names.end());
    dataset.label_names.erase(std::unique(dataset.label_names.begin(), dataset.label_names.end()),
                              dataset.label_names.end());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      ids[i] = std::lower_bound(dataset.label_names.begin(), dataset.label_names.end(), labels[i]) -
               dataset.label_names.begin();
    }
    dataset.classes = static_cast<std::int64_t>(dataset.label_names.size());
  }
  for (const std::int64_t id : ids) {
    dataset.train.labels.push_back(static_cast<std::int32_t>(id));
    if (dataset.train.labels.back() == id) continue;
    throw DataError(text(source, ": expected labels that fit 32 bits, got ", id));
  }
}

}  // namespace

std::string locate_csv() { return {}; }

Dataset load_csv(const DatasetRequest& request) {
  const std::filesystem::path path = required_root(request, "a CSV file");
  const std::string content = read_text(*open_file(path), kMaxFileBytes);
  DelimitedReader reader(content, path.string());
  std::vector<std::string> fields;
  if (!reader.next(fields))
    throw DataError(path.string() + ": expected a header line, got nothing");
  const Columns columns = find_columns(fields, request, reader.where());

  Dataset dataset{.type = SampleType::kFloat32, .sample_shape = {columns.features}};
  std::vector<std::string> labels;
  std::vector<std::string> clients;
  while (reader.next(fields)) {
    if (fields.size() != columns.names.size()) {
      throw DataError(text(reader.where(), ": expected ", columns.names.size(), " fields, got ",
                           fields.size()));
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i == columns.label || i == columns.client) continue;
      dataset.train.float32s.push_back(parse_feature(fields[i], reader, columns.names[i]));
    }
    labels.push_back(fields[columns.label]);
    if (columns.client != kAbsent) clients.push_back(fields[columns.client]);
  }
  dataset.train.size = static_cast<std::int64_t>(labels.size());
  set_labels(labels, path.string(), dataset);
  dataset.train.client_keys = number_names(clients, dataset.client_names);
  finish_dataset(dataset, path.string());
  split_off_test(dataset, request.test_fraction);
  return dataset;
}

}  // namespace coppice
