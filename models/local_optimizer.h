#pragma once
// The optimizer's half of a local step: clip, descend, mask, over whole arenas. State is allocated
// on the first plan that needs it, kept, and zeroed at every begin(). Internal to models/; knows no
// tensors.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "kernels/local_gradient.h"
#include "models/executor.h"

namespace coppice {

// Elements of an arena.
struct ParameterRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Of the elements from `begin` to the arena's end.
struct ArenaGradient {
  const float* values = nullptr;  // values[0] is of element `begin`
  std::int64_t begin = 0;
};

class LocalOptimizer {
 public:
  // `graph` must outlive it.
  explicit LocalOptimizer(const Graph& graph) : graph_(graph) {}

  // Fresh state for one client. `request` and what it points to must live until the last step().
  void begin(const TrainRequest& request);

  // Whether an element's step needs nobody else's gradient: parts may go before the rest then.
  bool can_step_parts() const { return request_->plan->clip_norm <= 0.0; }
  // A part of the step that the next step() ends; gradient[0] is of element part.begin.
  void step_part(float* weights, const float* gradient, const ParameterRange& part);

  // One step on `weights`, parameter_count floats, from the data terms' gradient, but for the parts
  // that went before, in ascending order. Elements of parameters that are not trainable, or that
  // the plan freezes, stay as they are.
  void step(float* weights, const ArenaGradient& gradient,
            std::span<const ParameterRange> parts = {});

  // Of the state that a plan needs.
  static std::int64_t state_bytes(const Graph& graph, const LocalPlan& plan);

 private:
  void step_range(float* weights, const kernels::LocalGradient& terms, float scale,
                  const ParameterRange& range);
  float clip_scale(const kernels::LocalGradient& terms) const;

  const Graph& graph_;
  std::vector<ParameterRange> trainable_;  // of the arena, ascending, merged
  std::int64_t frozen_ = 0;                // elements at its beginning that have no state
  AlignedBuffer first_moment_;             // sgd's velocity
  AlignedBuffer second_moment_;
  const TrainRequest* request_ = nullptr;
  std::int64_t steps_done_ = 0;
};

}  // namespace coppice
