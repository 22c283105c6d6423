#include "models/executor.h"

#include <array>    // for array
#include <utility>  // for move

#include "core/error.h"
#include "core/text.h"
#include "models/libtorch/executor.h"
#include "models/resident/executor.h"

namespace coppice {

std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph) {
  static constexpr std::array<std::string_view, 3> kNames = {"auto", "resident", "libtorch"};
  if (name == "resident") return resident::make_resident_executor(std::move(graph));
  if (name != "auto" && name != "libtorch")
    throw ConfigError(unknown_name("executor", name, kNames));
  if (name == "auto" && resident::unsupported_graph(graph).empty())
    return resident::make_resident_executor(std::move(graph));
  return libtorch::make_libtorch_executor(std::move(graph));
}

}  // namespace coppice
