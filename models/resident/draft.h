#pragma once
// What a plan will compute, before it has memory: which node's step does what, what flows between
// the steps and in which layout. Internal to models/resident.

#include <cstddef>   // for size_t
#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <span>      // for span
#include <vector>    // for vector

#include "core/graph.h"
#include "core/local_plan.h"
#include "models/fake_quant.h"

namespace coppice::resident {

struct PlanOptions {
  const FakeQuant* quant = nullptr;  // the grids of node outputs; read while the plan is made
  // No step does the ReLU behind it and all lie in chunks of lanes: every node can be read.
  bool keeps_every_node = false;
  MemorySpec memory = {};  // of a training step
  bool trains = true;      // false: forward alone
};

// A tensor.
struct Slot {
  std::int64_t elements = 0;
  bool has_channels_innermost = false;
  bool has_gradient = false;
  std::size_t first_step = 0;  // writes the values, reads the gradient
  std::size_t last_step = 0;   // of those that read the values
};

struct StepDraft {
  std::size_t node = 0;
  std::vector<std::size_t> inputs;  // slots
  std::size_t output = 0;
  bool has_relu = false;         // and does the ReLU behind the node
  bool has_pool = false;         // and the max pool behind that
  std::optional<NodeGrid> grid;  // the step that puts the node's output on it
  std::optional<Shape> image;    // the step that brings an input of the node's to lanes
};

// Whether a plan of `graph` with so many lanes has images with their channels innermost.
bool has_channels_innermost(const Graph& graph, std::int64_t lanes);

class Draft {
 public:
  // A graph that is not unsupported(). Refers to it and the options.
  Draft(const Graph& graph, std::int64_t lanes, const PlanOptions& options);

  std::span<const Slot> slots() const { return slots_; }
  std::span<const StepDraft> steps() const { return steps_; }
  // Where a node's output lies; of one that another's step does as well, that step's.
  const std::vector<std::size_t>& slot_of_node() const { return slot_of_node_; }

 private:
  std::optional<NodeGrid> grid_of(std::size_t node) const;
  bool is_fused(std::size_t node) const;
  bool is_pooled(std::size_t node) const;
  std::size_t add_slot(std::int64_t elements, bool has_channels_innermost);
  void add_step(StepDraft step, bool trains);
  std::size_t in_lanes(std::size_t node, std::size_t input);
  void add_node(std::size_t i, bool is_turned);
  void add_grid(std::size_t i, const NodeGrid& grid);

  const Graph& graph_;
  std::int64_t lanes_;
  const PlanOptions& options_;
  std::size_t frozen_nodes_;
  std::vector<int> readers_;  // by node
  std::vector<Slot> slots_;
  std::vector<StepDraft> steps_;
  std::vector<std::size_t> slot_of_node_;
  std::vector<std::size_t> step_of_node_;
};

}  // namespace coppice::resident
