#include "client/local_clients.h"

#include <algorithm>  // for all_of, find, min, transform
#include <chrono>     // for steady_clock
#include <cmath>      // for isfinite, pow
#include <exception>  // for throw_with_nested

#include "algorithms/pruner.h"
#include "client/calibration.h"
#include "client/input_range.h"
#include "client/mask_ballot.h"
#include "client/sensing.h"
#include "client/update_adder.h"
#include "comm/messages.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/index_map.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// What a client does after training: send its update, vote, and fill in its row. Of a masked model
// only what is kept travels and is summed.
class Reporter {
 public:
  // `waiting_models` is where models of the graph wait to be added: kept from round to round.
  // `residuals` is what error feedback has kept of clients so far; answers are kept in `answers`,
  // which may be null.
  Reporter(const ClientTask& task, const Graph& graph, const ModelView& global, std::uint64_t seed,
           std::span<const Residual> residuals, std::vector<ClientAnswer>* answers,
           std::vector<AlignedBuffer>& waiting_models)
      : task_(task),
        graph_(graph),
        mask_(global.mask),
        global_(global.parameters),
        seed_(seed),
        residuals_(residuals),
        answers_(answers),
        adder_(task, seed),
        at_once_(UpdateAdder::clients_at_once(graph.parameter_count())),
        waiting_models_(waiting_models) {
    std::int64_t sent = graph.parameter_count();
    if (task.plan.mask_rule == MaskRule::kKeepZero) {
      kept_ = IndexMap::kept_by(*global.mask);
      kept_global_ = kept_->gather(global.parameters);
      global_ = kept_global_;
      at_once_ = 1;
      sent = kept_->new_size();
    }
    if (task.residual_decay || answers != nullptr) at_once_ = 1;
    if (task.ballot) {
      coupling_ = couple(graph);
      pruner_ = make_pruner(task.ballot->pruner);
    }
    if (task.regrow) check_request(graph, global.mask, *task.regrow);
    report_.rows.reserve(task.cohort.size());  // memory that is not written to costs nothing
    sums_ = &report_.sums[sum_key(task)];
    *sums_ = empty_sums(task, {.parameters = sent, .units = coupling_.unit_count});
  }

  // The client that `executor` has just trained on `samples`. Its model may wait for others', to be
  // added with them.
  void add(const ClientRow& row, Executor& executor, const SampleSource& samples) {
    if (pruner_ != nullptr && pruner_->needs_gradients()) return add_scored(row, executor, samples);
    if (kept_) {
      kept_model_ = kept_->gather(executor.parameters());
      waiting_.push_back({row, kept_model_});
      add_waiting();
      if (task_.regrow) add_mask_ballot(report_.rows.back(), executor, samples);
      return;
    }
    if (at_once_ == 1) {
      waiting_.push_back({row, executor.parameters()});
      return add_waiting();
    }
    if (waiting_.size() == waiting_models_.size())
      waiting_models_.emplace_back(static_cast<std::size_t>(graph_.parameter_count()));
    AlignedBuffer& model = waiting_models_[waiting_.size()];
    executor.take_parameters(model);
    waiting_.push_back({row, model.span()});
    if (std::ssize(waiting_) == at_once_) add_waiting();
  }

  // A client that was not even trained.
  void refuse(ClientRow row, RefusalReason reason) {
    row.status = ClientStatus::kRefused;
    row.reason = reason;
    row.bytes_up += row_frame_bytes();
    report_.rows.push_back(row);
    if (answers_ != nullptr) answers_->push_back({.row = row});
  }

  RankReport take() {
    add_waiting();
    return std::move(report_);
  }

 private:
  // Gradients take the executor's parameters away, so the model is kept aside; it does not wait.
  void add_scored(const ClientRow& row, Executor& executor, const SampleSource& samples) {
    add_waiting();
    const std::span<const float> trained = executor.parameters();
    const std::vector<float> model(trained.begin(), trained.end());
    const GradientPairs pairs =
        gradient_pairs(executor, {.parameters = model}, samples, *task_.ballot,
                       {seed_, row.client, task_.round, Purpose::kImportance});
    scores_ = pruner_->scores(graph_, coupling_, model, {pairs.values, pairs.half_batch});
    kept_model_ = kept_ ? kept_->gather(model) : model;
    waiting_.push_back({row, kept_model_});
    add_waiting();
  }

  void add_waiting() {
    if (task_.residual_decay && !waiting_.empty()) {
      residual_ = residual_of(waiting_.front().row.client);
      waiting_.front().residual = residual_.values;
    }
    if (answers_ != nullptr && !waiting_.empty()) {
      answers_->emplace_back();
      waiting_.front().frame = &answers_->back().frames[kUpdateSum];
    }
    adder_.add(waiting_, global_, sums_->at(kUpdateSum));
    for (TrainedClient& client : waiting_) {
      ClientRow& row = client.row;
      const bool is_accepted = row.reason == RefusalReason::kNone;
      if (is_accepted && task_.ballot) add_ballot(row, client.parameters);
      row.status = is_accepted ? ClientStatus::kAccepted : ClientStatus::kRefused;
      row.bytes_up += row_frame_bytes();
      report_.rows.push_back(row);
      if (answers_ != nullptr) finish_answer(row);
      if (is_accepted && task_.residual_decay) report_.residuals.push_back(residual_);
    }
    waiting_.clear();
  }

  // The last one is that of the client with `row`.
  void finish_answer(const ClientRow& row) {
    answers_->back().row = row;
    if (row.status != ClientStatus::kAccepted) answers_->back().frames.clear();
  }

  // What `client` brings into this round: what it left out, less for each round that it missed.
  Residual residual_of(std::int64_t client) const {
    Residual out{
        .client = client, .round = task_.round, .values = std::vector<float>(global_.size())};
    const auto found = std::ranges::find(residuals_, client, &Residual::client);
    if (found == residuals_.end()) return out;
    if (found->values.size() != global_.size()) {
      throw Error(text("the residual of client ", client, " has ", found->values.size(),
                       " values, what travels has ", global_.size()));
    }
    const auto missed = static_cast<double>(task_.round - found->round - 1);
    const auto factor = static_cast<float>(std::pow(*task_.residual_decay, missed));
    std::ranges::transform(found->values, out.values.begin(),
                           [factor](float value) { return factor * value; });
    return out;
  }

  // `sent` is what of the client's model travels.
  void add_ballot(ClientRow& row, std::span<const float> sent) {
    if (!pruner_->needs_gradients()) {
      scores_ = kept_ ? pruner_->scores(graph_, coupling_, kept_->scatter(sent), {})
                      : pruner_->scores(graph_, coupling_, sent, {});
    }
    const auto ballot = make_ballot(coupling_, scores_, task_.ballot->keep_counts);
    const auto ballot_frame = encode_ballot(ballot);
    row.bytes_up += static_cast<std::int64_t>(ballot_frame.size());
    const bool is_added =
        sums_->at(kBallotSum).add(decode_ballot(ballot_frame, ballot.size()), row.weight);
    if (!is_added) throw Error("a ballot of 0s and 1s did not fit its grid");
    if (answers_ != nullptr) answers_->back().frames[kBallotSum] = ballot_frame;
  }

  // The client's that was added last, if it was accepted. Its model is that in kept_model_.
  void add_mask_ballot(ClientRow& row, Executor& executor, const SampleSource& samples) {
    if (row.status != ClientStatus::kAccepted) return;
    const std::vector<float> model = kept_->scatter(kept_model_);
    const std::vector<float> ballot =
        mask_ballot(executor, {.parameters = model, .mask = mask_}, samples, *task_.regrow,
                    {seed_, row.client, task_.round});
    if (ballot.empty()) return;
    const auto frame = encode_ballot(ballot);
    row.bytes_up += static_cast<std::int64_t>(frame.size());
    if (!sums_->at(kMaskBallotSum).add(decode_ballot(frame, ballot.size()), row.weight))
      throw Error("a ballot of 0s and 1s did not fit its grid");
    if (answers_ == nullptr) return;
    answers_->back().row = row;
    answers_->back().frames[kMaskBallotSum] = frame;
  }

  const ClientTask& task_;
  const Graph& graph_;
  const Mask* mask_;
  std::span<const float> global_;
  std::uint64_t seed_;
  std::span<const Residual> residuals_;
  std::vector<ClientAnswer>* answers_;
  Residual residual_;             // of the client that waits
  std::optional<IndexMap> kept_;  // of a masked model
  std::vector<float> kept_global_;
  std::vector<float> kept_model_;
  UpdateAdder adder_;
  std::int64_t at_once_;
  std::vector<TrainedClient> waiting_;
  std::vector<AlignedBuffer>& waiting_models_;
  Coupling coupling_;
  std::unique_ptr<Pruner> pruner_;
  std::vector<double> scores_;  // of the client whose ballot is next
  RankReport report_;
  NamedSums* sums_ = nullptr;
};

// The node of the model that a feature matching term names; empty: there is none.
std::string matched_node(const LocalPlan& plan) {
  for (const LossTerm& term : plan.loss_terms) {
    if (term.kind == LossKind::kFeatureMatching) return term.buffer;
  }
  return {};
}

}  // namespace

LocalClients::LocalClients(const Dataset& dataset, const Partition& partition,
                           std::string executor_name, std::uint64_t seed)
    : dataset_(dataset),
      partition_(partition),
      executor_name_(std::move(executor_name)),
      seed_(seed) {}

LocalClients::~LocalClients() = default;

void LocalClients::set_graph(const Graph& graph) {
  if (executor_ != nullptr && executor_->graph() == graph) return;
  executor_.reset();  // its arenas go before the next one's come
  waiting_models_.clear();
  executor_ = make_executor(executor_name_, graph);
}

std::span<const std::int64_t> LocalClients::resolve(std::span<const std::int64_t> indices) {
  resolved_.resize(indices.size());
  std::ranges::transform(indices, resolved_.begin(), [this](std::int64_t index) {
    return owned_[static_cast<std::size_t>(index)];
  });
  return resolved_;
}

// The functions hold one pointer, for which std::function needs no memory of its own.
SampleSource LocalClients::source(std::span<const std::int64_t> owned) {
  owned_ = owned;
  return {.size = static_cast<std::int64_t>(owned.size()),
          .samples =
              [this](std::span<const std::int64_t> indices, std::span<float> out) {
                gather_samples(dataset_, dataset_.train, resolve(indices), out);
              },
          .labels =
              [this](std::span<const std::int64_t> indices, std::span<std::int32_t> out) {
                gather_labels(dataset_, dataset_.train, resolve(indices), out);
              }};
}

void LocalClients::set_teacher(Graph graph, std::vector<float> parameters) {
  teacher_ =
      std::make_unique<LocalTeacher>(executor_name_, std::move(graph), std::move(parameters));
}

void LocalClients::set_reference(Graph graph, std::vector<float> parameters) {
  const std::int64_t labels = dataset_.labels_per_sample * dataset_.classes;
  if (element_count(graph.input().shape) != dataset_.sample_size() ||
      element_count(graph.output().shape) != labels) {
    throw ConfigError(text("gate: expected a dense model of ", dataset_.sample_size(),
                           " values and ", labels, " logits, got one of ",
                           element_count(graph.input().shape), " and ",
                           element_count(graph.output().shape)));
  }
  reference_ =
      std::make_unique<LocalReference>(executor_name_, std::move(graph), std::move(parameters));
}

RankReport LocalClients::run(const ClientTask& task, const ModelView& global,
                             const NextClient& next, std::int64_t bytes_down) {
  if (task.calibration) return calibrate(task, global, next, bytes_down);
  if (task.sense) return sense(task, global, next, bytes_down);
  if (task.gate) return compare(task, global, next, bytes_down);
  return train(task, global, next, bytes_down);
}

std::optional<MemoryUse> LocalClients::memory(const ClientTask& task, const QuantPlan& quant,
                                              std::int64_t samples) const {
  std::optional<MemoryUse> use =
      executor_->memory({.plan = &task.plan, .quant = &quant, .samples = samples});
  if (!use || !is_distilled(task.plan)) return use;
  if (teacher_ == nullptr) throw Error("a task with a distillation term came before its teacher");
  const std::optional<std::int64_t> teacher = teacher_->memory_bytes(samples);
  if (!teacher) return std::nullopt;
  use->teacher = *teacher;
  return use;
}

TrainResult LocalClients::train_one(const ClientTask& task, const ModelView& global,
                                    std::int64_t client, const SampleSource& samples) {
  TrainRequest request;
  request.plan = &task.plan;
  request.source = &samples;
  request.global = global.parameters;
  request.quant = global.quant;
  request.mask = global.mask;
  request.seed = seed_;
  request.client = client;
  request.round = task.round;
  Teacher teacher;
  if (is_distilled(task.plan)) {
    if (teacher_ == nullptr) throw Error("a task with a distillation term came before its teacher");
    teacher = teacher_->for_client(client, samples, matched_node(task.plan));
    request.teacher = &teacher;
  }
  return executor_->train(request);
}

RankReport LocalClients::train(const ClientTask& task, const ModelView& global,
                               const NextClient& next, std::int64_t bytes_down) {
  Reporter reporter(task, executor_->graph(), global, seed_, residuals_, answers_, waiting_models_);
  while (const std::optional<std::int64_t> taken = next()) {
    const std::int64_t client = *taken;
    try {
      const auto begin = std::chrono::steady_clock::now();
      const SampleSource samples =
          source(partition_.clients.at(static_cast<std::size_t>(client)).train);
      ClientRow row;
      row.client = client;
      row.weight = samples.size;
      row.bytes_down = bytes_down;
      const RefusalReason hidden = global.quant == nullptr
                                       ? RefusalReason::kNone
                                       : hidden_by_grid(executor_->graph(), *global.quant, samples);
      if (hidden != RefusalReason::kNone) {
        reporter.refuse(row, hidden);
        continue;
      }
      const TrainResult result = train_one(task, global, client, samples);
      row.loss = result.mean_loss;
      row.correct = result.correct;
      row.labels = result.labels_seen;
      row.samples = result.samples_seen;
      row.seconds = seconds_since(begin);
      reporter.add(row, *executor_, samples);
      failpoint("after_client");
    } catch (const Error&) {
      std::throw_with_nested(Error(text("round ", task.round, ", client ", client)));
    }
  }
  return reporter.take();
}

void LocalClients::take_answer(ClientRow row, const char* name, std::vector<std::uint8_t> frame,
                               std::span<const float> arrived, bool is_sound, RankReport& report,
                               NamedSums& sums) {
  const bool is_added = is_sound && sums.at(name).add(arrived, row.weight);
  row.status = is_added ? ClientStatus::kAccepted : ClientStatus::kRefused;
  row.reason = is_added   ? RefusalReason::kNone
               : is_sound ? RefusalReason::kOutOfRange
                          : RefusalReason::kNotFinite;
  row.bytes_up = row_frame_bytes() + (is_added ? std::ssize(frame) : 0);
  report.rows.push_back(row);
  if (answers_ == nullptr) return;
  answers_->push_back({.row = row});
  if (is_added) answers_->back().frames.emplace(name, std::move(frame));
}

RankReport LocalClients::calibrate(const ClientTask& task, const ModelView& global,
                                   const NextClient& next, std::int64_t bytes_down) {
  RankReport report;
  NamedSums& sums = report.sums[sum_key(task)];
  sums = empty_sums(task, {});
  while (const std::optional<std::int64_t> taken = next()) {
    const std::int64_t client = *taken;
    try {
      const std::vector<std::int64_t>& owned =
          partition_.clients.at(static_cast<std::size_t>(client)).train;
      RandomStream order({seed_, Purpose::kCalibration, client, task.round});
      std::vector<std::int64_t> chosen =
          random_permutation(static_cast<std::int64_t>(owned.size()), order);
      chosen.resize(std::min(chosen.size(), static_cast<std::size_t>(task.calibration->samples)));
      const Histograms counted =
          count_activations(*executor_, global, source(owned), chosen, task.calibration->nodes);
      ClientRow row;
      row.client = client;
      row.weight = 1;
      row.bytes_down = bytes_down;
      std::vector<std::uint8_t> frame = encode_histograms(counted.counts);
      const std::vector<float> arrived = decode_histograms(frame);
      take_answer(row, kHistogramSum, std::move(frame), arrived, counted.is_finite, report, sums);
      failpoint("after_count");
    } catch (const Error&) {
      std::throw_with_nested(Error(text("round ", task.round, ", calibration, client ", client)));
    }
  }
  return report;
}

RankReport LocalClients::sense(const ClientTask& task, const ModelView& global,
                               const NextClient& next, std::int64_t bytes_down) {
  RankReport report;
  NamedSums& sums = report.sums[sum_key(task)];
  sums = empty_sums(task, {});
  // What a candidate does to the weights is the same for every client.
  const CandidateChanges changes(executor_->graph(), global.parameters, *task.sense);
  while (const std::optional<std::int64_t> taken = next()) {
    const std::int64_t client = *taken;
    try {
      const SampleSource samples =
          source(partition_.clients.at(static_cast<std::size_t>(client)).train);
      ClientRow row;
      row.client = client;
      row.weight = samples.size;
      row.bytes_down = bytes_down;
      std::vector<std::uint8_t> frame = encode_sensitivities(estimate_sensitivities(
          *executor_, global, samples, *task.sense, changes, {seed_, client, task.round}));
      const std::vector<float> table = decode_sensitivities(frame);
      const bool is_finite = std::ranges::all_of(table, [](float v) { return std::isfinite(v); });
      take_answer(row, kSensitivitySum, std::move(frame), table, is_finite, report, sums);
      failpoint("after_sense");
    } catch (const Error&) {
      std::throw_with_nested(Error(text("round ", task.round, ", sensing, client ", client)));
    }
  }
  return report;
}

RankReport LocalClients::compare(const ClientTask& task, const ModelView& global,
                                 const NextClient& next, std::int64_t bytes_down) {
  if (reference_ == nullptr) throw Error("a task with a gate came before its dense model");
  RankReport report;
  NamedSums& sums = report.sums[sum_key(task)];
  sums = empty_sums(task, {});
  const std::int64_t labels = dataset_.labels_per_sample;
  const std::int64_t batch = task.gate->batch_size;
  while (const std::optional<std::int64_t> taken = next()) {
    const std::int64_t client = *taken;
    try {
      const SampleSource samples =
          source(partition_.clients.at(static_cast<std::size_t>(client)).validation);
      const RightAnswers& dense = reference_->answers(client, samples, labels, batch);
      const OutcomeCounts counts =
          count_outcomes(dense, right_answers(*executor_, global, samples, labels, batch));
      const std::vector<float> told{
          static_cast<float>(counts.both), static_cast<float>(counts.only_dense),
          static_cast<float>(counts.only_compressed), static_cast<float>(counts.neither)};
      ClientRow row;
      row.client = client;
      row.weight = 1;
      row.bytes_down = bytes_down;
      std::vector<std::uint8_t> frame = encode_histograms(told);
      const std::vector<float> arrived = decode_histograms(frame);
      // Samples on which the dense model is not finite say nothing of the compressed one.
      take_answer(row, kOutcomeSum, std::move(frame), arrived, dense.is_finite, report, sums);
      failpoint("after_compare");
    } catch (const Error&) {
      std::throw_with_nested(Error(text("round ", task.round, ", gate, client ", client)));
    }
  }
  return report;
}

}  // namespace coppice
