#include "launch/leader.h"

#include <algorithm>  // for copy_if, max
#include <chrono>     // for steady_clock
#include <iterator>   // for back_inserter, ssize
#include <optional>   // for optional
#include <utility>    // for move
#include <vector>     // for vector

#include "comm/messages.h"
#include "comm/residuals.h"
#include "coordinator/downlink.h"
#include "coordinator/run_folder.h"
#include "coordinator/run_session.h"
#include "coordinator/uplink.h"
#include "core/config/config.h"
#include "core/digest.h"
#include "core/failpoint.h"
#include "core/file.h"
#include "core/text.h"
#include "deploy/validation.h"
#include "launch/allotment_table.h"
#include "launch/artefacts.h"
#include "launch/assignment.h"
#include "launch/certificate.h"
#include "launch/device/edge_world.h"
#include "launch/edges.h"
#include "launch/open_edges.h"
#include "launch/summary.h"
#include "launch/version.h"
#include "models/executor.h"

namespace coppice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// At least one more than the questions of a round (coordinator/round_machine.h).
constexpr std::int64_t kStepsARound = 16;

class Leader {
 public:
  explicit Leader(const LeadRequest& request)
      : communicator_(request.communicator),
        config_(request.config),
        world_(request.world),
        worker_(request.worker),
        observer_(request.observer),
        table_(load_latency_table(config_.compress.latency_table,
                                  world_.student ? world_.student->graph : world_.graph)),
        identity_(identity(config_, world_, table_)),
        edges_(open_network(request.options)),
        population_(find_population(request.options)),
        sizes_(population_.sizes()),
        machine_(config_, sizes_.weights, start_of(world_.graph, world_.parameters),
                 other_models(world_), {table_ ? &*table_ : nullptr, population_.class_totals()}),
        session_(
            {request.options.out, request.options.is_resumed, resolved_yaml(config_), identity_},
            machine_),
        placement_(samples_a_round(config_.train, sizes_.weights), communicator_.node_of_rank()) {}

  // Analysing is done: the constructor has coupled the graph and laid the stages over the rounds.
  Json run() {
    if (observer_ != nullptr)
      observer_->started(
          {world_, population_, config_, communicator_.size(), session_.resumed_rounds()});
    run_rounds();  // warm up, shrink and recover, quantize, distil, calibrate: plan_rounds()
    if (edges_) edges_->finish();
    edges_.reset();
    const Checkpoint model = session_.finished_model(machine_.state(), config_.train.rounds);
    const Deployable shipped = export_model(model);
    return finish(model, validate(model, shipped));
  }

 private:
  void run_rounds() {
    std::optional<Action> action = machine_.begin({kRoot});
    while (!std::holds_alternative<Finish>(*action)) {
      if (const auto* send_task = std::get_if<SendTask>(&*action)) {
        action = train(send_task->task);
      } else if (std::holds_alternative<Evaluate>(*action)) {
        action = evaluate();
      } else {
        action = commit(std::get<CommitRound>(*action).record);
      }
    }
  }

  static ServerState start_of(const Graph& graph, const std::vector<float>& parameters) {
    ServerState state;
    state.graph = graph;
    state.parameters = parameters;
    return state;
  }

  static OtherModels other_models(const World& world) {
    OtherModels others;
    if (world.student) others.student = start_of(world.student->graph, world.student->parameters);
    if (world.teacher) others.teacher = {world.teacher->graph, world.teacher->parameters};
    if (world.reference) others.reference = {world.reference->graph, world.reference->parameters};
    return others;
  }

  static RunIdentity identity(const ExperimentConfig& config, const World& world,
                              const std::optional<LatencyTable>& table) {
    std::string data = data_sha256(world);
    if (table) data = sha256_hex(data + to_json(*table));  // an allocator chooses by it
    return {.version = std::string(kCoppiceVersion),
            .config_sha256 = config_sha256(config),
            .data_sha256 = std::move(data),
            .executor = world.executor.name,
            .isa = executor_isa(world.executor.name),
            .libraries = executor_library_version()};
  }

  // About how many samples each client passes in a round.
  static std::vector<double> samples_a_round(const TrainConfig& train,
                                             const std::vector<std::int64_t>& clients) {
    std::vector<double> samples;
    samples.reserve(clients.size());
    for (const std::int64_t own : clients) {
      samples.push_back(train.local_steps > 0
                            ? static_cast<double>(train.local_steps)
                            : static_cast<double>(own) * static_cast<double>(train.local_epochs));
    }
    return samples;
  }

  std::vector<std::uint8_t> model_frame(const std::vector<float>& parameters) const {
    const ServerState& state = machine_.state();
    return encode_model({state.graph.to_json(),
                         state.plan.is_empty() ? std::string() : to_json(state.plan), parameters,
                         state.mask});
  }

  std::optional<Edges> open_network(const RunOptions& options) const {
    return open_edges(
        {.world = world_,
         .config = config_,
         .identity = identity_,
         .options = options,
         .others = {[this] { return encoded_teacher(); }, [this] { return encoded_reference(); }},
         .note = [this](const std::string& sentence) {
           if (observer_ != nullptr) observer_->noted(sentence);
         }});
  }

  // Where only devices know, they are asked, and what they say is a part of what the run is.
  Population find_population(const RunOptions& options) {
    if (!has_data_elsewhere(config_)) return population_of(world_);
    if (!options.is_resumed) RunFolder::expect_free(options.out);  // before devices are waited for
    const Dataset& dataset = *world_.dataset;
    Population population{
        edges_->survey(next_step(0), dataset.labels_per_sample == 1 ? dataset.classes : 0)};
    identity_.data_sha256 = sha256_hex(identity_.data_sha256 + sha256_of(population));
    return population;
  }

  // Steps are numbered by the round they belong to, so that one that is begun again after a kill
  // has the number that it had.
  std::int64_t next_step(std::int64_t position) {
    return step_ = std::max(step_ + 1, position * kStepsARound);
  }

  // Of the cohort, those that ranks simulate.
  std::vector<std::int64_t> simulated(const std::vector<std::int64_t>& cohort) const {
    std::vector<std::int64_t> out;
    std::ranges::copy_if(cohort, std::back_inserter(out),
                         [this](std::int64_t client) { return !edges_ || !edges_->has(client); });
    return out;
  }

  // What clients train from. Where it travels as changes the round machine counts its bytes client
  // by client.
  void add_model(const ClientTask& task, StepCommand& command) const {
    const ServerState& state = machine_.state();
    command.model_frame = model_frame(sent_model(state));
    if (!machine_.sends_changes()) command.model_bytes = std::ssize(command.model_frame);
    if (task.residual_decay) command.residual_frame = encode_residuals(residuals_for(task, state));
  }

  // With the first task of this process that needs it.
  std::vector<std::uint8_t> teacher_frame(const ClientTask& task) {
    if (is_teacher_sent_ || !is_distilled(task.plan)) return {};
    is_teacher_sent_ = true;
    return encoded_teacher();
  }

  std::vector<std::uint8_t> encoded_teacher() const {
    const RoundMachine::TeacherView teacher = machine_.teacher();
    return encode_model({teacher.graph->to_json(), "", *teacher.parameters});
  }

  // The dense model, with the first task of this process that compares with it.
  std::vector<std::uint8_t> reference_frame(const ClientTask& task) {
    if (is_reference_sent_ || !task.gate) return {};
    is_reference_sent_ = true;
    return encoded_reference();
  }

  std::vector<std::uint8_t> encoded_reference() const {
    if (world_.reference)
      return encode_model({world_.reference->graph.to_json(), "", world_.reference->parameters});
    const std::string path = (session_.folder().model_path() / "dense.safetensors").string();
    const Checkpoint control = checkpoint_from_bytes(read_file(path), path);
    return encode_model({control.graph.to_json(), "", control.parameters});
  }

  std::optional<Action> train(const ClientTask& task) {
    failpoint("after_plan");
    if (observer_ != nullptr && task.trains()) observer_->round_started(task, config_.train.rounds);
    const std::string refusal = worker_.executor().refusal(task.plan);
    if (!refusal.empty())
      throw ConfigError(text("executor ", worker_.executor().name(), ": ", refusal));
    step_began_ = Clock::now();
    StepCommand command;
    command.kind = StepKind::kTrain;
    command.task_frame = encode_task(task);
    add_model(task, command);
    command.teacher_frame = teacher_frame(task);
    command.reference_frame = reference_frame(task);
    command.assignments = placement_.place(simulated(task.cohort));
    return in_step([&] {
      if (edges_)
        edges_->ask(next_step(machine_.state().position),
                    {.task = task,
                     .state = machine_.state(),
                     .sizes = sizes_,
                     .model_frame = command.model_frame,
                     .model_bytes = command.model_bytes,
                     .sends_changes = machine_.sends_changes(),
                     .changes = machine_.changes()});
      send_command(communicator_, command);
      failpoint("after_broadcast");
      RankReport report = worker_.train(command);
      if (edges_) report.merge(edges_->collect());
      failpoint("after_reduce");
      const std::optional<MemoryUse> memory = memory_of(task);
      std::optional<Action> next = machine_.handle(ReportArrived{kRoot, std::move(report)});
      failpoint("after_apply");
      const double seconds = seconds_since(step_began_);
      count_seconds(task, seconds);
      if (memory) seconds_.train_memory_bytes = memory->total();
      return next;
    });
  }

  // Of the client that has most samples. Nothing: nobody trains, or the executor does not know.
  std::optional<MemoryUse> memory_of(const ClientTask& task) const {
    if (!task.trains()) return std::nullopt;
    return worker_.clients().memory(task, machine_.state().plan, largest_client());
  }

  std::int64_t largest_client() const { return std::ranges::max(sizes_.weights); }

  // The same of the dense model with no lever but the micro-batch, whether or not it is trained.
  std::optional<MemoryUse> dense_memory() const {
    LocalPlan plan;
    plan.optimizer = config_.train.optimizer;
    plan.batch_size = config_.train.batch_size;
    plan.memory.micro_batch = config_.train.memory.micro_batch;
    return make_executor(world_.executor.name, world_.graph)
        ->memory({.plan = &plan, .samples = largest_client()});
  }

  // What follows the training is a part of its round.
  void count_seconds(const ClientTask& task, double seconds) {
    const std::span<const double> busy = worker_.busy_seconds();
    if (task.trains()) seconds_ = {.busy = std::vector<double>(busy.size())};
    seconds_.train += seconds;
    for (std::size_t rank = 0; rank < busy.size(); ++rank) seconds_.busy[rank] += busy[rank];
  }

  std::optional<Action> evaluate() {
    step_began_ = Clock::now();
    StepCommand command;
    command.kind = StepKind::kEvaluate;
    command.model_frame = model_frame(machine_.state().parameters);
    return in_step([&] {
      send_command(communicator_, command);
      const Worker::Evaluation sums = worker_.evaluate(command);
      seconds_.evaluate = seconds_since(step_began_);
      return machine_.handle(Evaluated{sums.test, sums.validation});
    });
  }

  std::optional<Action> commit(const RoundRecord& record) {
    session_.commit(record, seconds_, machine_.state());
    placement_.learn(record.rows, seconds_.busy);
    const auto left = static_cast<std::int64_t>(machine_.plans().size()) - record.position - 1;
    if (observer_ != nullptr) observer_->round_finished(record, session_.metrics().back(), left);
    return machine_.handle(Committed{});
  }

  Deployable export_model(const Checkpoint& model) {
    session_.write_model(model);
    Deployable shipped = deployable(model, table_ ? &*table_ : nullptr);
    const std::filesystem::path folder = session_.folder().model_path();
    for (const std::string& refusal : write_artefacts(folder, model, shipped)) {
      if (observer_ != nullptr) observer_->noted(refusal);
    }
    return shipped;
  }

  // Every rank counts its share of the test split with the shipped integers; this one measures time
  // and memory while the others wait.
  Validation validate(const Checkpoint& model, const Deployable& shipped) {
    Validation validation;
    validation.model_sha256 = model_sha256(model);
    validation.retention = ratio(last_accuracy(session_.metrics(), false).validation,
                                 dense_reference(config_, session_.metrics()).validation);
    validation.judged_retention = judged_retention(config_, session_.metrics());
    if (!shipped.program) {  // what is shipped is the checkpoint, and nothing can run it but us
      const std::filesystem::path file = session_.folder().model_path() / "model.safetensors";
      validation.file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(file));
      return validation;
    }
    validation.file_bytes = static_cast<std::int64_t>(shipped.cpk.size());
    validation.file_sha256 = sha256_hex(shipped.cpk);
    StepCommand command;
    command.kind = StepKind::kScore;
    command.model_frame = encode_model({model.graph.to_json(), "", model.parameters});
    command.cpk = shipped.cpk;
    validation.counts = in_step([&] {
      send_command(communicator_, command);
      return worker_.score_model(command);
    });
    validation.measurement = measure_here(session_.folder().model_path() / "model.cpk");
    Json report = full_report(validation, *shipped.program, table_ ? &*table_ : nullptr);
    report.set("allotment", last_allotment(session_.metrics()));
    session_.write_report(report);
    return validation;
  }

  Json finish(const Checkpoint& model, const Validation& validation) {
    RunTotals totals;
    totals.identity = identity_;
    totals.validation = validation;
    totals.parameters = model.graph.parameter_count();
    totals.dense_parameters = machine_.dense_parameters();
    if (const std::optional<MemoryUse> memory = dense_memory())
      totals.dense_train_memory_bytes = memory->total();
    totals.seconds = seconds_since(began_);
    Json summary = make_summary(config_, session_.metrics(), totals);
    session_.write_summary(summary);
    return summary;
  }

  Clock::time_point began_ = Clock::now();
  Communicator& communicator_;
  const ExperimentConfig& config_;
  const World& world_;
  Worker& worker_;
  RunObserver* observer_;
  std::optional<LatencyTable> table_;  // of the device that the model is for
  RunIdentity identity_;
  std::int64_t step_ = -1;
  std::optional<Edges> edges_;
  Population population_;
  ClientSizes sizes_;
  RoundMachine machine_;
  RunSession session_;
  Placement placement_;
  Clock::time_point step_began_;
  bool is_teacher_sent_ = false;
  bool is_reference_sent_ = false;
  RoundSeconds seconds_;
};

}  // namespace

Json lead_run(const LeadRequest& request) { return Leader(request).run(); }

}  // namespace coppice
