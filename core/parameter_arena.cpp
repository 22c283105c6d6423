#include "core/parameter_arena.h"

#include <cmath>  // for sqrt

#include "core/random.h"

namespace coppice {

std::span<float> ParameterArena::view(const ParameterSpec& parameter) {
  return values_.span().subspan(static_cast<std::size_t>(parameter.offset),
                                static_cast<std::size_t>(parameter.size()));
}

std::span<const float> ParameterArena::view(const ParameterSpec& parameter) const {
  return values_.span().subspan(static_cast<std::size_t>(parameter.offset),
                                static_cast<std::size_t>(parameter.size()));
}

ParameterArena initial_parameters(const Graph& graph, std::uint64_t seed) {
  ParameterArena arena(graph);
  for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
    const ParameterSpec& parameter = graph.parameters()[i];
    RandomStream stream({seed, Purpose::kInitialWeights, static_cast<std::int64_t>(i), 0});
    const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(parameter.fan_in)));
    for (float& value : arena.view(parameter)) {
      switch (parameter.initializer) {
        case Initializer::kKaimingUniform:
          value = (2.0F * stream.next_uniform() - 1.0F) * bound;
          break;
        case Initializer::kNormal:
          value = static_cast<float>(0.02 * stream.next_normal());
          break;
        case Initializer::kOnes:
          value = 1.0F;
          break;
        case Initializer::kZeros:
          value = 0.0F;
          break;
      }
    }
  }
  return arena;
}

}  // namespace coppice
