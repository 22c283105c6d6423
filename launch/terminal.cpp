#include "launch/terminal.h"

#include <fmt/core.h>
#include <unistd.h>  // for isatty

#include <algorithm>  // for sort
#include <map>        // for map
#include <set>        // for set

#include "core/coupling.h"
#include "core/text.h"

namespace coppice {
namespace {

std::string percent(const Json& value) {
  return value.is_number() ? fmt::format("{:.2f}%", 100.0 * value.as_number()) : "-";
}

std::string duration(double seconds) {
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  return fmt::format("{}:{:02} min", static_cast<int>(seconds) / 60, static_cast<int>(seconds) % 60);
}

std::string counts_line(const World& world) {
  const std::vector<std::int64_t> counts = class_counts(*world.dataset, world.partition);
  const std::size_t classes = counts.size() / std::max<std::size_t>(1, world.partition.clients.size());
  if (classes > 20 || world.partition.clients.size() > 20) return {};
  std::string out = "client  samples  of each class\n";
  for (std::size_t k = 0; k < world.partition.clients.size(); ++k) {
    out += fmt::format("{:>6} {:>8} ", k, world.partition.clients[k].train.size());
    for (std::size_t c = 0; c < classes; ++c) out += fmt::format(" {:>5}", counts[k * classes + c]);
    out += '\n';
  }
  return out;
}

// Mean seconds of a track's rounds in the second half.
double late_seconds(const std::vector<Json>& metrics, bool is_control) {
  std::vector<double> seconds;
  for (const Json& line : metrics) {
    if ((line.at("phase").as_text() == "control") == is_control) seconds.push_back(line.at("seconds").as_number());
  }
  double sum = 0.0;
  for (std::size_t i = seconds.size() / 2; i < seconds.size(); ++i) sum += seconds[i];
  return seconds.empty() ? 0.0 : sum / static_cast<double>(seconds.size() - seconds.size() / 2);
}

}  // namespace

TerminalObserver::TerminalObserver() : is_live_(isatty(STDOUT_FILENO) == 1) {}

void TerminalObserver::started(const World& world, const ExperimentConfig& config, int ranks,
                               std::int64_t resumed_rounds) {
  rounds_ = config.train.rounds;
  fmt::print("{}: {} on {}, {} clients ({} training and {} validation samples), {} rank{}\n", config.name,
             config.model.layers.empty() ? config.model.name : "own network", world.dataset->name,
             world.partition.clients.size(), with_commas(world.partition.train_samples()),
             with_commas(world.partition.validation_samples()), ranks, ranks == 1 ? "" : "s");
  fmt::print("{}", counts_line(world));
  if (resumed_rounds > 0) fmt::print("resumed after {} committed rounds\n", resumed_rounds);
  std::fflush(stdout);
}

void TerminalObserver::round_started(const ClientTask& task, std::int64_t rounds) {
  if (!is_live_) return;
  fmt::print("\r\x1b[Kround {}/{} {}: {} clients train{} ...", task.round, rounds, task.track, task.cohort.size(),
             task.ballot ? " and vote" : "");
  std::fflush(stdout);
}

void TerminalObserver::round_finished(const RoundRecord& record, const Json& metrics, std::int64_t rounds_left) {
  const double seconds = metrics.at("seconds").as_number() + metrics.at("eval_seconds").as_number();
  seconds_ += seconds;
  ++seen_;
  const double left = seconds_ / static_cast<double>(seen_) * static_cast<double>(rounds_left);
  fmt::print("{}round {:>3}/{} {:<8} accuracy {:>7}  loss {:.4f}  {:>9} parameters  up {} down {}  {:.2f} s  ETA {}\n",
             is_live_ ? "\r\x1b[K" : "", record.plan.round, rounds_, record.plan.phase,
             percent(metrics.at("test_accuracy")), record.train_loss, with_commas(record.parameters),
             human_bytes(static_cast<double>(record.bytes_up)), human_bytes(static_cast<double>(record.bytes_down)),
             seconds, duration(left));
  for (const ClientRow& row : record.rows) {
    if (row.status != ClientStatus::kRefused) continue;
    fmt::print("event=refused round={} track={} client={} reason={} update_norm={}\n", record.plan.round,
               record.plan.track, row.client, reason_text(row.reason), row.update_norm);
  }
  std::fflush(stdout);
}

std::string closing_table(const Json& summary, const std::vector<Json>& metrics) {
  const auto row = [](std::string_view name, const std::string& dense, const std::string& result) {
    return fmt::format("{:<24} {:>16} {:>16}\n", name, dense, result);
  };
  const bool has_control = late_seconds(metrics, true) > 0.0;
  const auto count = [&](const char* key) { return with_commas(summary.at(key).as_integer()); };
  std::string out = '\n' + row("", "dense control", "result");
  out += row("parameters", count("dense_parameters"), count("parameters"));
  out += row("bytes", human_bytes(summary.at("dense_bytes").as_number()), human_bytes(summary.at("model_bytes").as_number()));
  out += row("test accuracy", percent(summary.at("dense_accuracy")), percent(summary.at("final_accuracy")));
  out += row("seconds a round, 2nd half", has_control ? fmt::format("{:.2f}", late_seconds(metrics, true)) : "-",
             fmt::format("{:.2f}", late_seconds(metrics, false)));
  out += fmt::format("retention {} (test), {} (validation); sent up {}, down {}; {} in all\n",
                     percent(summary.at("retention")), percent(summary.at("validation_retention")),
                     human_bytes(summary.at("bytes_up").as_number()), human_bytes(summary.at("bytes_down").as_number()),
                     duration(summary.at("seconds").as_number()));
  for (const auto& [name, entry] : summary.at("constraints").as_object()) {
    out += fmt::format("constraint {}: limit {}, measured {}: {}\n", name, entry.at("limit").dump(),
                       entry.at("measured").dump(), entry.at("met").as_bool() ? "met" : "NOT MET");
  }
  return out;
}

std::string layer_table(const Graph& graph) {
  const Coupling coupling = couple(graph);
  std::map<int, std::set<std::string>> groups_of;  // parameter -> groups that own its outputs
  for (const AxisUnits& axis : coupling.axes) {
    if (!axis.is_produced || axis.units.empty()) continue;
    const int group = coupling.group_of_unit[static_cast<std::size_t>(axis.units.front())];
    const CouplingGroup& g = coupling.groups[static_cast<std::size_t>(group)];
    groups_of[axis.parameter].insert(fmt::format("{}{}", g.name, g.is_prunable ? fmt::format(" ({} units)", g.units.size())
                                                                             : " (fixed)"));
  }
  std::string out = fmt::format("{:<22} {:<16} {:<12} {:>12} {:>11} {:>11}  {}\n", "layer", "op", "output", "MACs",
                                "parameters", "bytes", "coupling group");
  for (const Node& node : graph.nodes()) {
    const NodeCost cost = graph.cost(node);
    std::set<std::string> groups;
    for (const int parameter : node.parameters) groups.insert(groups_of[parameter].begin(), groups_of[parameter].end());
    const std::vector<std::string> names(groups.begin(), groups.end());
    out += fmt::format("{:<22} {:<16} {:<12} {:>12} {:>11} {:>11}  {}\n", node.name, op_info(node.op).name,
                       shape_text(node.shape), with_commas(cost.macs), with_commas(cost.parameter_bytes / 4),
                       with_commas(cost.parameter_bytes), join(names));
  }
  const NodeCost total = graph.total_cost();
  out += fmt::format("{:<22} {:<16} {:<12} {:>12} {:>11} {:>11}\n", "total", "", "", with_commas(total.macs),
                     with_commas(graph.parameter_count()), with_commas(total.parameter_bytes));
  return out;
}

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > 3 + sign; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace coppice
