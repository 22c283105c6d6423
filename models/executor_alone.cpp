// The executors of a program without LibTorch: the resident one. In place of models/executor.cpp
// and of models/libtorch, for coppice-edge.

#include "models/executor.h"

#include "core/error.h"
#include "core/text.h"
#include "models/resident/executor.h"

namespace coppice {

std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph) {
  if (name == "resident") return resident::make_resident_executor(std::move(graph));
  throw ConfigError(text("executor '", name,
                         "': this program has the resident one alone; coppice edge has both"));
}

}  // namespace coppice
