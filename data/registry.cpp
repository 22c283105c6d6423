#include <array>  // for array

#include "core/error.h"
#include "core/text.h"
#include "data/dataset.h"
#include "data/loader.h"

namespace coppice {
namespace {

constexpr DatasetInfo kInfos[] = {
#define COPPICE_DATASET(name, sentence) {#name, sentence},
#include "data/datasets.def"
#undef COPPICE_DATASET
};

struct Loader {
  Dataset (*load)(const DatasetRequest&);
  std::string (*locate)();
};

constexpr Loader kLoaders[] = {
#define COPPICE_DATASET(name, sentence) {load_##name, locate_##name},
#include "data/datasets.def"
#undef COPPICE_DATASET
};

const Loader& loader_named(std::string_view name) {
  std::array<std::string_view, std::size(kInfos)> names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (kInfos[i].name == name) return kLoaders[i];
    names[i] = kInfos[i].name;
  }
  throw ConfigError(unknown_name("data set", name, names));
}

}  // namespace

std::unique_ptr<Dataset> load_dataset(const DatasetRequest& request) {
  const Loader& loader = loader_named(request.name);
  if (!(request.test_fraction >= 0.0 && request.test_fraction < 1.0)) {
    throw ConfigError(
        text("data.test_fraction: expected a value in [0, 1), got ", request.test_fraction));
  }
  auto dataset = std::make_unique<Dataset>(loader.load(request));
  dataset->name = request.name;
  return dataset;
}

std::span<const DatasetInfo> known_datasets() { return kInfos; }

std::string locate_dataset(std::string_view name) { return loader_named(name).locate(); }

}  // namespace coppice
