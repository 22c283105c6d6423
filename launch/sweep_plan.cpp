#include "launch/sweep_plan.h"

#include <fmt/core.h>

#include <algorithm>  // for find, any_of
#include <cmath>      // for sqrt

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/tables.h"

namespace coppice {
namespace {

constexpr std::string_view kSeed = "seed";
constexpr std::size_t kMaxCombinations = 10'000;
constexpr std::size_t kMaxNameBytes = 100;
constexpr std::string_view kFields[] = {"final_accuracy",   "retention",  "bytes_up",
                                        "control_bytes_up", "parameters", "model_bytes",
                                        "dense_bytes",      "seconds"};

[[noreturn]] void refuse(const std::string& argument, std::string_view why) {
  throw ConfigError(text("command line: ", argument.substr(0, 128), ": ", why));
}

std::string trimmed(std::string_view value) {
  const std::size_t first = value.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(value.substr(first, value.find_last_not_of(' ') - first + 1));
}

// Follows nesting and quotes through the characters of a value.
class Nesting {
 public:
  // Whether the character stands outside of all brackets and quotes.
  bool is_outside(char c) {
    if (quote_ != '\0') {
      if (c == quote_) quote_ = '\0';
      return false;
    }
    if (c == '"' || c == '\'') quote_ = c;
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    return depth_ == 0 && quote_ == '\0';
  }
  bool is_closed() const { return depth_ == 0 && quote_ == '\0'; }
  bool is_broken() const { return depth_ < 0; }

 private:
  int depth_ = 0;
  char quote_ = '\0';
};

std::vector<std::string> split_values(const std::string& argument, std::string_view list) {
  std::vector<std::string> values;
  Nesting nesting;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool is_outside = nesting.is_outside(list[i]);
    if (nesting.is_broken()) refuse(argument, "a bracket closes that was not opened");
    if (!is_outside || list[i] != ',') continue;
    values.push_back(trimmed(list.substr(begin, i - begin)));
    begin = i + 1;
  }
  if (!nesting.is_closed()) refuse(argument, "a bracket or quote is not closed");
  values.push_back(trimmed(list.substr(begin)));
  return values;
}

SweptKey parse_key(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0)
    refuse(argument, "expected key=value or key=value,value,...");
  SweptKey key{argument.substr(0, equals),
               split_values(argument, std::string_view(argument).substr(equals + 1))};
  for (std::size_t i = 0; i < key.values.size(); ++i) {
    if (key.values[i].empty() && key.values.size() > 1)
      refuse(argument, "a value between two commas is empty");
    const auto first = std::find(key.values.begin(), key.values.end(), key.values[i]);
    if (first != key.values.begin() + static_cast<std::ptrdiff_t>(i)) {
      refuse(argument, text("the value '", key.values[i], "' stands there twice"));
    }
  }
  return key;
}

bool is_varied(std::string_view key, std::span<const SweptKey> keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const SweptKey& swept) {
    return swept.key == key && swept.values.size() > 1;
  });
}

bool is_safe(char c) {
  const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_letter || (c >= '0' && c <= '9') ||
         std::string_view("._=,+-").find(c) != std::string_view::npos;
}

SweepGroup::Statistic statistic(std::string_view field, const std::vector<const Json*>& summaries) {
  std::vector<double> values;
  for (const Json* summary : summaries) {
    const Json* value = summary->find(field);
    if (value != nullptr && value->is_number()) values.push_back(value->as_number());
  }
  if (values.empty()) return {};
  double sum = 0.0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  if (values.size() == 1) return {mean, {}};
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / static_cast<double>(values.size() - 1))};
}

// "89.12 ± 0.21", each number times `scale`.
std::string mean_text(const SweepGroup& group, std::string_view field, double scale, int digits) {
  const auto found = group.statistics.find(field);
  if (found == group.statistics.end() || found->second.mean.is_null()) return "-";
  std::string out = fmt::format("{:.{}f}", scale * found->second.mean.as_number(), digits);
  const Json& deviation = found->second.standard_deviation;
  if (deviation.is_number())
    out += fmt::format(" ± {:.{}f}", scale * deviation.as_number(), digits);
  return out;
}

}  // namespace

std::vector<SweptKey> parse_sweep(std::span<const std::string> arguments) {
  std::vector<SweptKey> keys;
  for (const std::string& argument : arguments) {
    SweptKey key = parse_key(argument);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const SweptKey& other) { return other.key == key.key; })) {
      refuse(argument,
             text("the key '", key.key, "' was given before; list its values with commas"));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<std::string> Combination::overrides() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : values) out.push_back(text(key, '=', value));
  return out;
}

std::vector<Combination> combinations(std::span<const SweptKey> keys) {
  std::vector<Combination> all(1);
  for (const SweptKey& key : keys) {
    if (all.size() * key.values.size() > kMaxCombinations) {
      throw ConfigError(
          text("command line: expected at most ", kMaxCombinations, " combinations, got more"));
    }
    std::vector<Combination> longer;
    for (const Combination& combination : all) {
      for (const std::string& value : key.values) {
        longer.push_back(combination);
        longer.back().values.emplace_back(key.key, value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::string folder_name(const Combination& combination, std::span<const SweptKey> keys) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : combination.values) {
    if (is_varied(key, keys)) parts.push_back(text(key, '=', value));
  }
  if (parts.empty()) return "run";
  const std::string exact = join(parts, ",");
  std::string name = exact.substr(0, kMaxNameBytes);
  for (char& c : name) c = is_safe(c) ? c : '_';
  if (name != exact) name += '-' + sha256_hex(exact).substr(0, 8);
  return name;
}

std::span<const std::string_view> sweep_fields() { return kFields; }

std::vector<SweepGroup> gather_sweep(std::span<const SweptKey> keys,
                                     std::span<const Combination> all,
                                     std::span<const Json> summaries) {
  std::vector<SweepGroup> groups;
  std::vector<std::vector<const Json*>> members;
  for (std::size_t i = 0; i < all.size(); ++i) {
    SweepGroup group;
    for (const auto& entry : all[i].values) {
      if (entry.first != kSeed && is_varied(entry.first, keys)) group.values.push_back(entry);
    }
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const SweepGroup& g) { return g.values == group.values; });
    const auto index = static_cast<std::size_t>(found - groups.begin());
    if (found == groups.end()) {
      groups.push_back(std::move(group));
      members.emplace_back();
    }
    ++groups[index].runs;
    members[index].push_back(&summaries[i]);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (const std::string_view field : kFields)
      groups[i].statistics[std::string(field)] = statistic(field, members[i]);
  }
  return groups;
}

std::string sweep_table(std::span<const SweepGroup> groups) {
  std::vector<std::string> titles;
  if (!groups.empty()) {
    for (const auto& entry : groups.front().values) titles.push_back(entry.first);
  }
  const std::string alignment = std::string(titles.size(), 'l') + "rrrrrrr";
  for (const char* title :
       {"runs", "accuracy %", "retention %", "bytes", "MB up", "parameters", "seconds"}) {
    titles.emplace_back(title);
  }
  Table table(std::move(titles), alignment);
  for (const SweepGroup& group : groups) {
    std::vector<std::string> cells;
    for (const auto& entry : group.values) cells.push_back(entry.second);
    cells.push_back(std::to_string(group.runs));
    cells.push_back(mean_text(group, "final_accuracy", 100.0, 2));
    cells.push_back(mean_text(group, "retention", 100.0, 2));
    cells.push_back(mean_text(group, "model_bytes", 1.0, 0));
    cells.push_back(mean_text(group, "bytes_up", 1e-6, 2));
    cells.push_back(mean_text(group, "parameters", 1.0, 0));
    cells.push_back(mean_text(group, "seconds", 1.0, 1));
    table.add(std::move(cells));
  }
  return table.text();
}

Json sweep_json(std::span<const SweepGroup> groups) {
  Json::Array out;
  for (const SweepGroup& group : groups) {
    Json values{Json::Object{}};
    for (const auto& [key, value] : group.values) values.set(key, value);
    Json entry;
    entry.set("values", std::move(values));
    entry.set("runs", group.runs);
    for (const std::string_view field : kFields) {
      const SweepGroup::Statistic& statistic_of = group.statistics.at(std::string(field));
      Json figures;
      figures.set("mean", statistic_of.mean);
      figures.set("standard_deviation", statistic_of.standard_deviation);
      entry.set(std::string(field), std::move(figures));
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace coppice
