#include "algorithms/pruner.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

#define COPPICE_PRUNER(name, sentence) std::unique_ptr<Pruner> make_##name();
#include "algorithms/pruners.def"
#undef COPPICE_PRUNER

namespace {

constexpr PrunerInfo kPruners[] = {
#define COPPICE_PRUNER(name, sentence) {#name, sentence},
#include "algorithms/pruners.def"
#undef COPPICE_PRUNER
};

}  // namespace

std::span<const PrunerInfo> known_pruners() { return kPruners; }

std::unique_ptr<Pruner> make_pruner(std::string_view name) {
#define COPPICE_PRUNER(name_, sentence) \
  if (name == #name_) return make_##name_();
#include "algorithms/pruners.def"
#undef COPPICE_PRUNER
  std::vector<std::string_view> names;
  for (const PrunerInfo& info : kPruners) names.push_back(info.name);
  throw ConfigError(unknown_name("pruner", name, names));
}

}  // namespace coppice
