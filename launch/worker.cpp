#include "launch/worker.h"

#include <algorithm>  // for count, move
#include <chrono>     // for steady_clock
#include <iterator>   // for back_inserter
#include <optional>   // for optional

#include "client/evaluation.h"
#include "client/received_step.h"
#include "comm/messages.h"
#include "comm/residuals.h"
#include "comm/wire.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/text.h"
#include "deploy/runtime/cpk.h"

namespace coppice {
namespace {

std::vector<std::uint8_t> encode_seconds(double seconds) {
  std::vector<std::uint8_t> bytes;
  WireWriter(bytes).f64(seconds);
  return bytes;
}

}  // namespace

Worker::Worker(Communicator& communicator, const ExperimentConfig& config, const World& world)
    : communicator_(communicator),
      config_(config),
      world_(world),
      clients_(*world.dataset, world.partition, world.executor.name, config.seed),
      test_(all_indices(world.dataset->test)),
      validation_(validation_indices(world.partition)) {
  clients_.set_graph(world.graph);
  const std::vector<int> nodes = communicator.node_of_rank();
  node_ = nodes.at(static_cast<std::size_t>(communicator.rank()));
  ranks_on_node_ = std::ranges::count(nodes, node_);
  communicator.restart_tickets();  // an earlier run of this process may have taken some
}

RankReport Worker::train(const StepCommand& command) {
  const ClientTask task = decode_task(command.task_frame);
  const ReceivedModel model = receive_model(command.model_frame);
  clients_.set_graph(model.graph);
  receive_others(command.teacher_frame, command.reference_frame, clients_);
  if (!command.residual_frame.empty())
    clients_.set_residuals(decode_residuals(command.residual_frame));
  const std::int64_t bytes_down =
      task.cohort.empty()
          ? 0
          : std::ssize(encode_task_for(task, task.cohort.front())) + command.model_bytes;
  const std::vector<std::int64_t>& ours = command.assignments.at(static_cast<std::size_t>(node_));
  const auto begin = std::chrono::steady_clock::now();
  RankReport report = clients_.run(task, model.view(), turns(ours), bytes_down);
  const std::chrono::duration<double> busy = std::chrono::steady_clock::now() - begin;
  failpoint("after_train");
  return combine(command, task, std::move(report), busy.count());
}

// The ranks of a node share its clients: whoever is free takes the next one, so that none waits for
// another by more than one client. Every rank draws one ticket beyond the last client, and all have
// before the round's sums are joined: so all know where the next round's tickets begin.
LocalClients::NextClient Worker::turns(std::span<const std::int64_t> clients) {
  const std::int64_t first = next_ticket_;
  next_ticket_ += std::ssize(clients) + ranks_on_node_;
  return [this, clients, first]() -> std::optional<std::int64_t> {
    const std::int64_t turn = communicator_.take_ticket() - first;
    const auto in_turns = [&](std::int64_t turns) -> std::optional<std::int64_t> {
      const std::int64_t at = turn + turns * ranks_on_node_;
      if (at >= std::ssize(clients)) return std::nullopt;
      return clients[static_cast<std::size_t>(at)];
    };
    if (const auto soon = in_turns(2)) clients_.expect_soon(*soon);
    if (const auto next = in_turns(1)) clients_.expect_next(*next);
    return in_turns(0);
  };
}

Worker::Evaluation Worker::evaluate(const StepCommand& command) {
  const ReceivedModel model = receive_model(command.model_frame);
  clients_.set_graph(model.graph);
  const EvalShare share{config_.eval.batch_size, communicator_.rank(), communicator_.size()};
  const Dataset& dataset = *world_.dataset;
  const auto on = [&](const Split& split, const std::vector<std::int64_t>& indices) {
    return evaluate_share(executor(), model.view(), dataset, split, indices, share).units();
  };
  const EvalSums::Units test = on(dataset.test, test_);
  const EvalSums::Units validation = on(dataset.train, validation_);
  std::vector<std::int64_t> units(test.begin(), test.end());
  units.insert(units.end(), validation.begin(), validation.end());
  communicator_.reduce_sum(units, kRoot);
  return {EvalSums::of_units({units[0], units[1], units[2], units[3]}),
          EvalSums::of_units({units[4], units[5], units[6], units[7]})};
}

PairedCounts Worker::score_model(const StepCommand& command) {
  const ReceivedModel model = receive_model(command.model_frame);
  clients_.set_graph(model.graph);
  const Reference reference{&executor(), model.parameters};
  const PairedCounts counts =
      score(runtime::read_cpk(command.cpk, "model.cpk"), *world_.dataset, world_.dataset->test,
            &reference, {communicator_.rank(), communicator_.size()});
  std::vector<std::int64_t> units{counts.labels, counts.correct, counts.reference_correct,
                                  counts.equal};
  communicator_.reduce_sum(units, kRoot);
  return {.labels = units[0],
          .correct = units[1],
          .reference_correct = units[2],
          .equal = units[3],
          .has_reference = true};
}

// Sums are joined where they lie, in the order of their names; then rows and busy
// seconds are gathered.
RankReport Worker::combine(const StepCommand& command, const ClientTask& task, RankReport report,
                           double busy_seconds) {
  NamedSums& sums = report.sums[sum_key(task)];
  for (auto& [name, sum] : sums) communicator_.reduce_sum(sum.exchanged(), kRoot);
  const bool is_root = communicator_.rank() == kRoot;  // whose own rows stay where they are
  auto frames =
      communicator_.gather(is_root ? std::vector<std::uint8_t>() : encode_rows(report.rows), kRoot);
  const auto busy = communicator_.gather(encode_seconds(busy_seconds), kRoot);
  const auto residuals = gather_residuals(task, report.residuals);
  if (!is_root) return {};
  busy_seconds_.clear();
  for (const auto& bytes : busy)
    busy_seconds_.push_back(WireReader(bytes, "busy seconds of a rank").f64());
  for (std::size_t rank = 0; rank < frames.size(); ++rank) {
    if (rank != static_cast<std::size_t>(kRoot)) append_rows(frames[rank], report.rows);
    frames[rank] = {};  // a large cohort's are not kept twice
  }
  for (const auto& bytes : residuals) {
    if (bytes.empty()) continue;
    std::vector<Residual> more = decode_residuals(bytes);
    std::ranges::move(more, std::back_inserter(report.residuals));
  }
  // Ranks are alive or the run ends: a client that nobody took up is a fault of ours, not an
  // absence.
  std::size_t assigned = 0;
  for (const std::vector<std::int64_t>& clients : command.assignments) assigned += clients.size();
  if (report.rows.size() != assigned) {
    throw Error(text("round ", task.round, ": expected a row of each of ", assigned,
                     " clients, got ", report.rows.size()));
  }
  return report;
}

// Of the other ranks, a frame each; this one's own stay where they are.
std::vector<std::vector<std::uint8_t>> Worker::gather_residuals(
    const ClientTask& task, std::span<const Residual> residuals) {
  if (!task.residual_decay || !task.trains()) return {};
  const bool is_root = communicator_.rank() == kRoot;
  return communicator_.gather(is_root ? std::vector<std::uint8_t>() : encode_residuals(residuals),
                              kRoot);
}

}  // namespace coppice
