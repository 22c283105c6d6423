#include "comm/netproxy/scenario.h"

#include <algorithm>  // for find
#include <array>      // for array
#include <span>       // for span

#include "core/config/values.h"
#include "core/config/yaml_tree.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::netproxy {
namespace {

constexpr std::size_t kMaxPartitions = 1000;
constexpr std::int64_t kMostQueued = std::int64_t{1} << 30U;

RealNumber from_zero_to(double most) { return {.at_least = 0.0, .at_most = most}; }
// A link that loses everything is a partition.
RealNumber probability() { return {.at_least = 0.0, .at_most = 1.0}; }
RealNumber loss_probability() { return {.at_least = 0.0, .at_most = 0.9}; }
RealNumber milliseconds() { return from_zero_to(60'000.0); }
RealNumber seconds() { return from_zero_to(1e6); }

struct RealKey {
  std::string_view name;
  double LinkConditions::*field;
  RealNumber type;
};
const std::array<RealKey, 10> kRealKeys{
    {{"latency_ms", &LinkConditions::latency_ms, milliseconds()},
     {"jitter_ms", &LinkConditions::jitter_ms, milliseconds()},
     {"loss", &LinkConditions::loss, loss_probability()},
     {"duplicate", &LinkConditions::duplicate, probability()},
     {"reorder", &LinkConditions::reorder, probability()},
     {"stall", &LinkConditions::stall, probability()},
     {"stall_ms", &LinkConditions::stall_ms, milliseconds()},
     {"bit_flip", &LinkConditions::bit_flip, probability()},
     {"truncate", &LinkConditions::truncate, probability()},
     {"cut", &LinkConditions::cut, probability()}}};

// Reads a map key by key: `take` says whether it knows the key. What is wrong in a value is said
// with the key before it.
template <typename Take>
void read_map(const YamlNode& map, std::string_view what, std::span<const std::string_view> known,
              const Take& take) {
  if (map.kind != YamlKind::kMap) refuse(map, text("a map of keys: ", join(known)));
  for (const YamlNode& node : map.children) {
    bool is_known = false;
    try {
      is_known = take(node);
    } catch (const YamlError& error) {
      throw YamlError(error.mark, text(node.key, ": ", error.what()));
    }
    if (!is_known) throw YamlError(node.key_mark, unknown_name(what, node.key, known));
  }
}

bool read_condition(const YamlNode& node, LinkConditions& link) {
  if (node.key == "bandwidth_kbps") {
    link.bandwidth_kbps = RealNumber{.at_least = 1.0, .at_most = 1e8}.read(node);
    return true;
  }
  if (node.key == "cut_after_bytes") {
    link.cut_after_bytes = Bytes{}.read(node);
    return true;
  }
  for (const RealKey& key : kRealKeys) {
    if (node.key != key.name) continue;
    link.*key.field = key.type.read(node);
    return true;
  }
  return false;
}

void read_link(const YamlNode& map, LinkConditions& link) {
  std::vector<std::string_view> known{"bandwidth_kbps", "cut_after_bytes"};
  for (const RealKey& key : kRealKeys) known.push_back(key.name);
  read_map(map, "condition of a link", known,
           [&](const YamlNode& node) { return read_condition(node, link); });
}

void check_link(const YamlNode& root, std::string_view name, const LinkConditions& link) {
  const auto expect = [&](bool is_good, const std::string& message) {
    if (!is_good) throw YamlError(root.mark, text(name, ": ", message));
  };
  expect(link.jitter_ms <= link.latency_ms,
         text("expected a jitter_ms of at most latency_ms, which is ", link.latency_ms, ", got ",
              link.jitter_ms));
  expect((link.stall == 0.0) == (link.stall_ms == 0.0),
         text("expected stall and stall_ms together, got ", link.stall, " and ", link.stall_ms));
}

bool read_partition_key(const YamlNode& node, Partition& partition) {
  using Stops = Partition::Stops;
  using Connect = Partition::Connect;
  if (node.key == "from_s")
    partition.from_s = seconds().read(node);
  else if (node.key == "for_s")
    partition.for_s = RealNumber{.above = 0.0, .at_most = 1e6}.read(node);
  else if (node.key == "direction")
    partition.stops =
        Choice<Stops>{{{"both", Stops::kBoth}, {"up", Stops::kUp}, {"down", Stops::kDown}}}.read(
            node);
  else if (node.key == "connect")
    partition.connect =
        Choice<Connect>{{{"hang", Connect::kHang}, {"refuse", Connect::kRefuse}}}.read(node);
  else
    return false;
  return true;
}

Partition read_partition(const YamlNode& map) {
  constexpr std::array<std::string_view, 4> kKnown{"from_s", "for_s", "direction", "connect"};
  Partition partition;
  read_map(map, "key of a partition", kKnown,
           [&](const YamlNode& node) { return read_partition_key(node, partition); });
  if (partition.for_s == 0.0)
    throw YamlError(map.mark, "expected for_s, the seconds that it lasts, got none");
  return partition;
}

void read_partitions(const YamlNode& list, std::vector<Partition>& partitions) {
  if (list.kind != YamlKind::kList)
    refuse(list, "a list of partitions such as {from_s: 10, for_s: 5}");
  if (list.children.size() > kMaxPartitions)
    throw YamlError(list.mark, text("expected at most ", kMaxPartitions, " partitions, got ",
                                    list.children.size()));
  for (const YamlNode& node : list.children) partitions.push_back(read_partition(node));
}

std::int64_t read_queue_bytes(const YamlNode& node) {
  const std::int64_t bytes = Bytes{}.read(node);
  constexpr std::int64_t kLeast = 2 * kSegmentBytes;
  if (bytes < kLeast || bytes > kMostQueued)
    refuse(node, text("bytes from ", kLeast, " to ", kMostQueued));
  return bytes;
}

Scenario read_scenario(const YamlNode& root) {
  constexpr std::array<std::string_view, 5> kKnown{"both", "up", "down", "partitions",
                                                   "queue_bytes"};
  Scenario scenario;
  // `both` first, wherever it stands: a direction's own keys count more.
  read_map(root, "key of a scenario", kKnown, [&](const YamlNode& node) {
    if (node.key == "both") read_link(node, scenario.up);
    return std::ranges::find(kKnown, node.key) != kKnown.end();
  });
  scenario.down = scenario.up;
  read_map(root, "key of a scenario", kKnown, [&](const YamlNode& node) {
    if (node.key == "up")
      read_link(node, scenario.up);
    else if (node.key == "down")
      read_link(node, scenario.down);
    else if (node.key == "partitions")
      read_partitions(node, scenario.partitions);
    else if (node.key == "queue_bytes")
      scenario.queue_bytes = read_queue_bytes(node);
    return true;
  });
  check_link(root, "up", scenario.up);
  check_link(root, "down", scenario.down);
  return scenario;
}

}  // namespace

Scenario parse_scenario(std::string_view yaml, std::string_view name) {
  try {
    const YamlNode root = parse_yaml(yaml);
    return root.kind == YamlKind::kNull ? Scenario{} : read_scenario(root);
  } catch (const YamlError& error) {
    throw ConfigError(text(name, ':', error.mark.line, ':', error.mark.column, ": ", error.what()));
  }
}

Scenario load_scenario(const std::filesystem::path& path) {
  return parse_scenario(read_yaml_file(path), path.string());
}

}  // namespace coppice::netproxy
