#include "models/executor.h"

#include <algorithm>  // for find
#include <array>      // for array
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"
#include "models/libtorch/executor.h"
#include "models/resident/executor.h"

namespace coppice {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"auto", "resident", "libtorch"};

std::string why_not_resident(std::span<const Graph* const> graphs,
                             std::span<const LossKind> terms) {
  for (const Graph* graph : graphs) {
    if (std::string reason = resident::unsupported_graph(*graph); !reason.empty()) return reason;
  }
  LocalPlan plan;
  plan.loss_terms.clear();
  for (const LossKind kind : terms) plan.loss_terms.push_back({.kind = kind});
  return plan.loss_terms.empty() ? std::string() : resident::refused_term(plan);
}

}  // namespace

ExecutorChoice choose_executor(std::string_view asked, std::span<const Graph* const> graphs,
                               std::span<const LossKind> terms) {
  if (std::ranges::find(kNames, asked) == kNames.end())
    throw ConfigError(unknown_name("executor", asked, kNames));
  if (asked == "libtorch") return {"libtorch", {}};
  const std::string reason = why_not_resident(graphs, terms);
  if (reason.empty()) return {"resident", {}};
  if (asked == "resident")
    throw ConfigError(
        text("train.executor: resident cannot run ", reason, "; auto or libtorch can"));
  return {"libtorch", reason};
}

std::unique_ptr<Executor> make_executor(std::string_view name, Graph graph) {
  if (name == "resident") return resident::make_resident_executor(std::move(graph));
  const Graph* only = &graph;
  if (choose_executor(name, {&only, 1}).name == "resident")
    return resident::make_resident_executor(std::move(graph));
  return libtorch::make_libtorch_executor(std::move(graph));
}

std::string executor_isa(std::string_view executor) {
  if (executor == "resident") return std::string(kernels::lane_kernels().isa);
  return libtorch::isa();
}

}  // namespace coppice
