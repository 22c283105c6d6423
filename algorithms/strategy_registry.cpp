#include <vector>  // for vector

#include "algorithms/strategy.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

#define COPPICE_STRATEGY(name, sentence) \
  std::unique_ptr<Strategy> make_##name(const StrategyConfig&);
#include "algorithms/strategies.def"
#undef COPPICE_STRATEGY

namespace {

constexpr StrategyInfo kStrategies[] = {
#define COPPICE_STRATEGY(name, sentence) {#name, sentence},
#include "algorithms/strategies.def"
#undef COPPICE_STRATEGY
};

}  // namespace

std::span<const StrategyInfo> known_strategies() { return kStrategies; }

std::unique_ptr<Strategy> make_strategy(const StrategyConfig& config) {
#define COPPICE_STRATEGY(name_, sentence) \
  if (config.name == #name_) return make_##name_(config);
#include "algorithms/strategies.def"
#undef COPPICE_STRATEGY
  std::vector<std::string_view> names;
  for (const StrategyInfo& info : kStrategies) names.push_back(info.name);
  throw ConfigError(unknown_name("strategy", config.name, names));
}

void shrink_state(NamedBuffers& state, const IndexMap& map) {
  for (auto& [name, values] : state) {
    if (static_cast<std::int64_t>(values.size()) == map.old_size()) values = map.gather(values);
  }
}

}  // namespace coppice
