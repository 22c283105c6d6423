// A latency table as JSON. What is read may come from anywhere: every axis and number is checked.

#include <algorithm>  // for is_sorted
#include <array>      // for array
#include <cmath>      // for isfinite
#include <set>        // for set

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "deploy/latency_table.h"

namespace coppice {
namespace {

using runtime::Layout;

constexpr std::string_view kFormat = "coppice latency table";
constexpr std::int64_t kVersion = 1;
constexpr std::string_view kUnit = "us";
constexpr std::int64_t kMostChannels = std::int64_t{1} << 24;
constexpr std::size_t kMostCells = std::size_t{1} << 20;  // of one grid
constexpr std::size_t kMostText = 1000;
constexpr double kMostMicroseconds = 1e9;

Json grid_json(const LatencyGrid& grid) {
  Json out;
  out.set("bits", grid.bits);
  out.set("layout", layout_name(grid.layout));
  out.set("in", Json::array(grid.in));
  out.set("out", Json::array(grid.out));
  out.set("density", Json::array(grid.density));
  out.set("microseconds", Json::array(grid.microseconds));
  return out;
}

// Reads one table; every message names the place.
class Reader {
 public:
  explicit Reader(std::string_view what) : what_(what) {}

  LatencyTable read(std::string_view json) const {
    const Json root = Json::parse(json, what_);
    expect(root, "", "format", kFormat);
    if (const std::int64_t version = root.at("version").as_integer(); version != kVersion)
      fail("version: expected ", kVersion, ", got ", version);
    expect(root, "", "unit", kUnit);
    LatencyTable table{.cpu = text_of(root.at("cpu"), "cpu"),
                       .isa = text_of(root.at("isa"), "isa"),
                       .version = text_of(root.at("coppice"), "coppice"),
                       .network_sha256 = text_of(root.at("network_sha256"), "network_sha256"),
                       .reference_us = time_of(root.at("reference_us"), "reference_us"),
                       .entries = {}};
    for (const Json& layer : root.at("layers").as_array())
      table.entries.push_back(entry(layer, text("layer ", table.entries.size())));
    check_names(table);
    return table;
  }

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw DataError(text(what_, ": ", parts...));
  }

  void expect(const Json& in, std::string_view where, std::string_view key,
              std::string_view expected) const {
    const std::string& got = in.at(key).as_text();
    if (got != expected)
      fail(where, key, ": expected '", expected, "', got '", got.substr(0, 64), "'");
  }

  std::string text_of(const Json& json, std::string_view where) const {
    const std::string& value = json.as_text();
    if (value.size() > kMostText)
      fail(where, ": expected at most ", kMostText, " bytes of text, got ", value.size());
    return value;
  }

  double time_of(const Json& json, std::string_view where) const {
    const double value = json.as_number();
    if (!std::isfinite(value) || value <= 0.0 || value > kMostMicroseconds)
      fail(where, ": expected microseconds above 0 and at most ", kMostMicroseconds, ", got ",
           value);
    return value;
  }

  LatencyEntry entry(const Json& json, const std::string& where) const {
    LatencyEntry out;
    for (const Json& node : json.at("nodes").as_array()) out.nodes.push_back(text_of(node, where));
    if (out.nodes.empty()) fail(where, ": expected the names of nodes, got none");
    out.geometry = text_of(json.at("geometry"), where);
    std::set<std::pair<int, Layout>> kinds;
    for (const Json& one : json.at("grids").as_array()) {
      const std::string place = text(where, ", grid ", out.grids.size());
      out.grids.push_back(grid(one, place));
      if (!kinds.insert({out.grids.back().bits, out.grids.back().layout}).second)
        fail(place, ": bits and layout of an earlier one");
    }
    if (out.grids.empty()) fail(where, ": expected grids, got none");
    return out;
  }

  LatencyGrid grid(const Json& json, const std::string& where) const {
    LatencyGrid out;
    const std::int64_t bits = json.at("bits").as_integer();
    if (bits != 0 && bits != 4 && bits != 8 && bits != 32)
      fail(where, ": bits: expected 0, 4, 8 or 32, got ", bits);
    out.bits = static_cast<int>(bits);
    out.layout = layout_of(json.at("layout").as_text(), where);
    out.in = channels(json.at("in"), where + ", in");
    out.out = channels(json.at("out"), where + ", out");
    out.density = densities(json.at("density"), where + ", density");
    if (out.layout != Layout::kBlocks && out.density != std::vector<double>{1.0})
      fail(where, ", density: expected [1] in layout ", layout_name(out.layout));
    // Axes are at most as long as the text, so that products fit.
    const Json::Array& times = json.at("microseconds").as_array();
    const std::size_t cells = out.in.size() * out.out.size();
    if (cells > kMostCells || cells * out.density.size() > kMostCells ||
        cells * out.density.size() != times.size()) {
      fail(where, ", microseconds: expected ", out.in.size(), " x ", out.out.size(), " x ",
           out.density.size(), " numbers, at most ", kMostCells, ", got ", times.size());
    }
    for (const Json& time : times)
      out.microseconds.push_back(time_of(time, where + ", microseconds"));
    return out;
  }

  Layout layout_of(const std::string& name, const std::string& where) const {
    for (const Layout layout :
         {Layout::kRows, Layout::kPanels, Layout::kBlocks, Layout::kDepthwise}) {
      if (layout_name(layout) == name) return layout;
    }
    fail(where, ": layout: expected rows, panels, blocks or depthwise, got '", name.substr(0, 64),
         "'");
  }

  std::vector<std::int64_t> channels(const Json& json, const std::string& where) const {
    std::vector<std::int64_t> out = json.as_integers();
    if (out.empty() || out.size() > kMostCells || out.front() < 1 || out.back() > kMostChannels ||
        std::ranges::adjacent_find(out, std::greater_equal<>()) != out.end())
      fail(where, ": expected ascending numbers from 1 to ", kMostChannels);
    return out;
  }

  std::vector<double> densities(const Json& json, const std::string& where) const {
    std::vector<double> out;
    for (const Json& value : json.as_array()) out.push_back(value.as_number());
    if (out.empty() || out.size() > kMostCells || !(out.front() > 0.0) || !(out.back() <= 1.0) ||
        std::ranges::adjacent_find(out, std::greater_equal<>()) != out.end())
      fail(where, ": expected ascending numbers above 0, up to 1");
    return out;
  }

  // A name and a geometry stand in one entry.
  void check_names(const LatencyTable& table) const {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const LatencyEntry& entry : table.entries) {
      for (const std::string& node : entry.nodes) {
        if (!seen.insert({node, entry.geometry}).second)
          fail("node '", node.substr(0, 64), "' stands twice with one geometry");
      }
    }
  }

  std::string_view what_;
};

}  // namespace

std::string to_json(const LatencyTable& table) {
  Json::Array layers;
  for (const LatencyEntry& entry : table.entries) {
    Json::Array grids;
    for (const LatencyGrid& grid : entry.grids) grids.push_back(grid_json(grid));
    Json layer;
    layer.set("nodes", Json::array(entry.nodes));
    layer.set("geometry", entry.geometry);
    layer.set("grids", std::move(grids));
    layers.push_back(std::move(layer));
  }
  Json out;
  out.set("format", kFormat);
  out.set("version", kVersion);
  out.set("unit", kUnit);
  out.set("cpu", table.cpu);
  out.set("isa", table.isa);
  out.set("coppice", table.version);
  out.set("network_sha256", table.network_sha256);
  out.set("reference_us", table.reference_us);
  out.set("layers", std::move(layers));
  return out.dump();
}

LatencyTable latency_table_from_json(std::string_view json, std::string_view what) {
  try {
    return Reader(what).read(json);
  } catch (const DataError& error) {
    const std::string_view message = error.what();
    if (message.starts_with(what)) throw;
    throw DataError(text(what, ": ", message));
  }
}

}  // namespace coppice
