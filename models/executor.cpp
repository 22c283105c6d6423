#include "models/executor.h"

#include <array>    // for array
#include <utility>  // for move

#include "core/error.h"
#include "core/text.h"
#include "models/libtorch/executor.h"

namespace coppice {

std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph) {
  static constexpr std::array<std::string_view, 2> kNames = {"auto", "libtorch"};
  if (name != "auto" && name != "libtorch")
    throw ConfigError(unknown_name("executor", name, kNames));
  return libtorch::make_libtorch_executor(std::move(graph));
}

}  // namespace coppice
