#include "launch/federation.h"

#include <functional>  // for function
#include <optional>    // for optional
#include <vector>      // for vector

#include "comm/codec.h"
#include "core/digest.h"
#include "core/text.h"
#include "launch/device/edge_world.h"
#include "launch/leader.h"
#include "launch/shared_step.h"
#include "launch/summary.h"
#include "launch/worker.h"
#include "models/executor.h"

namespace coppice {
namespace {

RunOutcome follow(Communicator& communicator, Worker& worker) {
  while (true) {
    const StepCommand command = receive_command(communicator);
    if (command.kind == StepKind::kStop) return {command.exit_code, {}};
    in_step([&] {
      if (command.kind == StepKind::kTrain) {
        worker.train(command);
      } else if (command.kind == StepKind::kEvaluate) {
        worker.evaluate(command);
      } else {
        worker.score_model(command);
      }
    });
  }
}

// Rank 0's part: whatever fails outside a shared step is told to the others, who wait for the next
// command.
RunOutcome lead(Communicator& communicator, const std::function<Json()>& run) {
  try {
    RunOutcome outcome;
    outcome.summary = run();
    outcome.exit_code = constraints_exit_code(outcome.summary);
    send_command(communicator, {.kind = StepKind::kStop, .exit_code = outcome.exit_code});
    return outcome;
  } catch (const BrokenStep&) {
    throw;
  } catch (const std::exception& error) {
    send_command(communicator, {.kind = StepKind::kStop, .exit_code = exit_code(error)});
    throw;
  }
}

// Every rank reads files of its own; all learn whether one could not. Empty, or the first failing
// rank's message.
std::string agree(Communicator& communicator, const std::string& problem) {
  const auto problems = communicator.gather(bytes_of(std::string_view(problem)), kRoot);
  std::vector<std::uint8_t> first;
  for (std::size_t rank = problems.size(); rank > 0; --rank) {
    if (!problems[rank - 1].empty()) first = problems[rank - 1];
  }
  communicator.broadcast(first, kRoot);
  return {first.begin(), first.end()};
}

// A lever that the executor cannot pull is known before the first round.
void check_memory(const ExperimentConfig& config, const World& world) {
  LocalPlan plan;
  plan.batch_size = config.train.batch_size;
  plan.memory = config.train.memory;
  if (!config.compress.distill.feature.empty())
    plan.loss_terms.push_back({.kind = LossKind::kFeatureMatching});
  const std::string refusal =
      refused_memory(world.executor.name, world.student ? world.student->graph : world.graph, plan);
  if (refusal.empty()) return;
  throw ConfigError(world.executor.reason.empty()
                        ? refusal
                        : text(refusal, " (it cannot run ", world.executor.reason, ")"));
}

// What a device would have to keep between tasks, also when it is started anew.
void check_network(const ExperimentConfig& config) {
  if (config.comm.error_feedback)
    throw ConfigError("comm.error_feedback: devices do not keep what their updates leave out yet");
}

void check_codecs(const CommConfig& comm) {
  make_codec(comm.codec, comm.options);
  if (comm.downlink.sends_changes()) make_codec(comm.downlink.codec, comm.downlink.options);
}

}  // namespace

RunOutcome run_federation(Communicator& communicator, const ExperimentConfig& config,
                          const RunOptions& options, RunObserver* observer) {
  std::optional<World> world;
  std::optional<Worker> worker;
  std::string problem;
  try {
    if (options.network) check_network(config);
    if (!options.network && has_data_elsewhere(config)) {
      throw ConfigError(
          "data.partition.scheme: with 'devices' the clients' data is on devices of their own; "
          "expected `coppice serve`, or another scheme");
    }
    check_codecs(config.comm);  // an unknown name is refused before anything is written
    world.emplace(make_world(config));
    check_constraints(config, world->student ? world->student->graph : world->graph);
    check_memory(config, *world);
    worker.emplace(communicator, config, *world);
  } catch (const std::exception& error) {
    problem = text(exit_code(error), describe(error));
  }
  const std::string first = agree(communicator, problem);
  if (!first.empty()) {
    const int code = first.front() - '0';
    if (communicator.rank() != kRoot) return {code, {}};
    if (code == 2) throw ConfigError(first.substr(1));
    throw Error(first.substr(1));
  }
  if (communicator.rank() != kRoot) return follow(communicator, *worker);
  return lead(communicator, [&] {
    dense_reference(config, {});  // a run that cannot be read is refused now, not at the end
    return lead_run({communicator, config, options, *world, *worker, observer});
  });
}

}  // namespace coppice
