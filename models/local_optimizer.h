#pragma once
// The optimizer's half of a local step: clip, descend, mask, over whole arenas. State is allocated
// on the first plan that needs it, kept, and zeroed at every begin(). Internal to models/; knows no
// tensors.

#include <cstdint>  // for int64_t
#include <vector>   // for vector

#include "core/aligned_buffer.h"
#include "core/graph.h"
#include "models/executor.h"

namespace coppice {

class LocalOptimizer {
 public:
  explicit LocalOptimizer(const Graph& graph);

  // Fresh state for one client. `request` and what it points to must live until the last step().
  void begin(const TrainRequest& request);

  // One step on `weights` from the data terms' `gradient`, both parameter_count floats. Elements of
  // parameters that are not trainable stay as they are.
  void step(float* weights, const float* gradient);

 private:
  struct Range {
    std::int64_t begin;
    std::int64_t end;
  };

  float clip_scale(const float* weights, const float* gradient) const;

  std::vector<Range> trainable_;  // of the arena, ascending, merged
  std::int64_t size_;
  AlignedBuffer first_moment_;  // sgd's velocity
  AlignedBuffer second_moment_;
  const TrainRequest* request_ = nullptr;
  std::int64_t steps_done_ = 0;
};

}  // namespace coppice
