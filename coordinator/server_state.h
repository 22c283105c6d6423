#pragma once
// All that a later round needs to know of the earlier ones. It is a value: written to a checkpoint
// at every commit, read back on resume, and nothing else is remembered.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <vector>    // for vector

#include "algorithms/gate.h"
#include "coordinator/transport_state.h"
#include "core/checkpoint.h"
#include "core/graph.h"
#include "core/mask.h"
#include "core/quant_plan.h"

namespace coppice {

// What a choice that is not good enough goes back to.
struct KeptModel {
  Graph graph;
  std::vector<float> parameters;
  Mask mask;
  NamedBuffers strategy_state;
  std::vector<int> weight_bits;
};

struct ServerState {
  Graph graph;
  std::vector<float> parameters;
  Mask mask;  // of the parameters; masked ones are zero. Of size 0: everything is kept
  NamedBuffers strategy_state;
  // What an allocator decided beside the mask: the bits of each of quantized_parameters(graph), and
  // how many choices are made (RoundPlan::choices; below 2^24), those that were taken back
  // included. Empty and 0: nothing yet.
  std::vector<int> weight_bits;
  std::int64_t choices = 0;
  // With compress.gate: how far the model has come; and, from a choice to its judgement, how far it
  // went (in the units of `steps`) and the model before it.
  StepControl steps = {};
  std::int64_t tried = 0;
  std::optional<KeptModel> before_choice = {};
  // What fedrts believes of each weight of quantized_parameters(graph), one after the other: all
  // alphas, then all betas (algorithms/regrowth.h). Empty: nothing yet, or another allocator.
  std::vector<float> mask_posterior;
  // The mean of the models of rounds with RoundPlan::averaged so far. Empty: none yet.
  std::vector<float> averaged;
  QuantPlan plan;              // empty until the model is quantized
  std::vector<float> teacher;  // parameters of the dense graph that the student listens to; empty:
                               // there is none yet
  std::int64_t teacher_round = 0;  // of the main track, after which it was there; below 2^24
  std::int64_t position = 0;       // committed rounds, over all tracks
  std::int64_t mask_epoch = 0;     // shrinks and masks of the current track
  TransportState transport;
  double norm_median = 0.0;  // of the last committed round's accepted updates; 0: none yet

  // What of the parameters travels in an update.
  std::int64_t sent_parameters() const {
    return mask.size() > 0 ? mask.kept() : graph.parameter_count();
  }
};

// A network whose outputs a student learns from.
struct TeacherModel {
  Graph graph;
  std::vector<float> parameters;
};

// What a run may start with beside the dense model.
struct OtherModels {
  std::optional<ServerState> student = {};     // what the main track trains instead of the dense
  std::optional<TeacherModel> teacher = {};    // from a file; else the run makes its own
  std::optional<TeacherModel> reference = {};  // dense, of another run; else the run's own control
};

// The state as a checkpoint and back; `position` and `norm_median` are the commit record's.
Checkpoint to_checkpoint(const ServerState& state, std::int64_t round);
ServerState from_checkpoint(Checkpoint checkpoint, std::int64_t position, double norm_median);

}  // namespace coppice
