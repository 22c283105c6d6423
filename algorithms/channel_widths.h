#pragma once
// Which layers can lose output channels by themselves, and which channels stay when a share of them
// shall. Server and clients work it out from the same model, so that nothing about it travels.
// Immutable; any thread.

#include <cstdint>      // for int64_t, uint8_t
#include <functional>   // for less
#include <map>          // for map
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/coupling.h"
#include "core/graph.h"

namespace coppice {

// A weight's output channels that stay, ascending along axis 0.
using KeptChannels = std::vector<std::int64_t>;

class ChannelWidths {
 public:
  // Of no layer at all.
  ChannelWidths() = default;
  // `parameters` in the layout of `graph`'s arena; neither is kept. Throws as couple().
  ChannelWidths(const Graph& graph, std::span<const float> parameters);

  // Whether no layer can lose channels by itself; whether that of `parameter` can.
  bool is_empty() const { return layers_.empty(); }
  bool has(std::string_view parameter) const { return layers_.contains(parameter); }

  // Of the parameter's units, round(share x units) of the largest unit_magnitudes(), at least one;
  // of equal ones those before. Nothing where that is all of them, and where the parameter cannot
  // be narrower by itself: it is the weight of no linear and of no conv2d without groups, its
  // channels are the network's output or those of a residual stream, or another weight makes them
  // too (a depthwise convolution behind it, the matrices of a recurrent layer). Throws ConfigError
  // unless 0 < share < 1.
  std::optional<KeptChannels> kept(std::string_view parameter, double share) const;

  // Sets `keep`, one entry a unit of coupling(), to 0 for the units that kept() leaves out. Throws
  // ConfigError where it has nothing.
  void remove(std::string_view parameter, double share, std::span<std::uint8_t> keep) const;
  const Coupling& coupling() const { return coupling_; }

 private:
  struct Layer {
    std::vector<int> units;   // of each output channel
    std::vector<int> ranked;  // all of the group, the best first
  };

  // The units that stay; nothing as kept().
  std::optional<std::span<const int>> best(std::string_view parameter, double share) const;

  Coupling coupling_;
  std::map<std::string, Layer, std::less<>> layers_;  // by the weight's name
};

// What is left of `parameter`, [out, ...], and of its values once it has only those channels.
ParameterSpec narrowed(const ParameterSpec& parameter, const KeptChannels& channels);
std::vector<float> narrowed(const ParameterSpec& parameter, std::span<const float> values,
                            const KeptChannels& channels);

}  // namespace coppice
