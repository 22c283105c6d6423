#pragma once
// What the layers of a network take on a device as their weights become sparse or narrow: for those
// who choose how weights are stored, before there are any codes. Immutable; any thread.

#include <cstddef>  // for size_t
#include <cstdint>  // for int64_t
#include <span>     // for span
#include <string>   // for string
#include <vector>   // for vector

#include "core/graph.h"
#include "deploy/latency_table.h"
#include "deploy/runtime/layout.h"

namespace coppice {

class WeightTimes {
 public:
  // Of `graph` as it is deployed: batch norms folded, in integers. `parameters` are weights of its
  // conv2d and linear. `table` must outlive this. Throws ConfigError for a parameter that neither
  // reads, as LatencyTable::microseconds() if the table is of another network or lacks a kind of
  // weights, and as lower() and timed_nodes() do.
  WeightTimes(const Graph& graph, std::span<const std::string> parameters,
              const LatencyTable& table);

  // What all nodes take together that read none of the parameters.
  double other_microseconds() const { return others_; }

  // Of the layer that reads parameters[index], by the table: with `values` as its weights (those of
  // one output channel after the other, as many channels as are left of it; a 4x4 block is empty if
  // all of its are 0) as codes of `bits`, in the width that the runtime multiplies them in, dense
  // or in blocks, whichever is faster. What reads a narrower layer's output takes less as well,
  // which is not counted here. Training
  // may turn other values than zeros into codes of zero, never the other way round: so the finished
  // layer is not slower, by the table. Throws as LatencyTable::microseconds().
  double microseconds(std::size_t index, std::span<const float> values, int bits) const;

  // What the nodes take, part of other_microseconds(), that have no weights and one input, the
  // output of the layer that reads parameters[index] or of another such node: with as many channels
  // of it as `channels`. Of all channels, those of nodes that this layer's width alone decides on.
  double follower_microseconds(std::size_t index, std::int64_t channels) const;

 private:
  struct Layer {
    TimedNode node;  // dense
    runtime::ProductShape shape;
    std::vector<TimedNode> followers = {};
  };

  const LatencyTable& table_;
  std::vector<Layer> layers_;
  double others_ = 0.0;
};

}  // namespace coppice
