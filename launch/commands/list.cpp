// `coppice list`: the registries, as they are compiled in.

#include <fmt/core.h>

#include "algorithms/allocator.h"
#include "algorithms/pruner.h"
#include "algorithms/strategy.h"
#include "comm/codec.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/graph.h"
#include "core/text.h"
#include "data/dataset.h"
#include "data/partition.h"
#include "launch/commands.h"
#include "launch/tables.h"
#include "models/zoo.h"

namespace coppice {
namespace {

template <typename Infos>
std::string sentences(const Infos& infos) {
  Table table({"name", ""}, "ll");
  for (const auto& info : infos) table.add({std::string(info.name), std::string(info.sentence)});
  return table.text();
}

std::string models() { return sentences(known_models()); }
std::string strategies() { return sentences(known_strategies()); }
std::string pruners() { return sentences(known_pruners()); }
std::string allocators() { return sentences(known_allocators()); }
std::string codecs() { return sentences(known_codecs()); }

std::string datasets() {
  Table table({"name", "", "found in"}, "lll");
  for (const DatasetInfo& info : known_datasets()) {
    const std::string place = locate_dataset(info.name);
    table.add({std::string(info.name), std::string(info.sentence), place.empty() ? "-" : place});
  }
  return table.text();
}

std::string partitioners() {
  std::string out;
  for (const std::string_view name : known_partitioners()) out += text(name, '\n');
  return out;
}

std::string ops() {
  const auto cell = [](Capability capability) {
    return capability == Capability::yes ? "yes" : "not yet";
  };
  Table table({"op", "shape", "cost", "libtorch", "coupling", "onnx", "runtime"}, "lllllll");
  for (const OpInfo& info : known_ops()) {
    table.add({std::string(info.name), "yes", "yes", "yes", cell(info.coupling), cell(info.onnx),
               cell(info.runtime)});
  }
  return table.text();
}

struct Kind {
  std::string_view name;
  std::string (*list)();
};
constexpr Kind kKinds[] = {
    {"models", models},         {"datasets", datasets}, {"partitioners", partitioners},
    {"strategies", strategies}, {"pruners", pruners},   {"allocators", allocators},
    {"codecs", codecs},         {"ops", ops},           {"config", reference_text}};

}  // namespace

std::vector<std::string_view> list_kinds() {
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return names;
}

int list_command(const ListArguments& arguments) {
  for (const Kind& kind : kKinds) {
    if (kind.name != arguments.kind) continue;
    fmt::print("{}", kind.list());
    return 0;
  }
  throw ConfigError(unknown_name("list", arguments.kind.substr(0, 64), list_kinds()));
}

}  // namespace coppice
