#include "coordinator/answer_sums.h"

#include <algorithm>  // for binary_search, min
#include <cmath>      // for isfinite, sqrt
#include <map>        // for map
#include <numeric>    // for accumulate
#include <string>     // for string
#include <utility>    // for move

#include "algorithms/update_sum.h"
#include "comm/codec.h"
#include "comm/messages.h"
#include "core/coupling.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// Two ways to add up the same squares differ by less.
constexpr double kRounding = 1e-6;

Mask travelling(const ClientTask& task, const Graph& graph, Mask mask) {
  const bool is_masked = task.plan.mask_rule == MaskRule::kKeepZero;
  return is_masked ? std::move(mask) : Mask(graph.parameter_count());
}

double length_of(std::span<const float> values) {
  double squares = 0.0;
  for (const float value : values) squares += double{value} * double{value};
  return std::sqrt(squares);
}

std::vector<float> decoded(const std::string& name, const std::vector<std::uint8_t>& frame,
                           std::int64_t size) {
  const bool is_ballot = name == kBallotSum || name == kMaskBallotSum;
  std::vector<float> values = is_ballot ? decode_ballot(frame, static_cast<std::size_t>(size))
                              : name == kSensitivitySum ? decode_sensitivities(frame)
                                                        : decode_histograms(frame);
  if (std::ssize(values) != size) {
    throw WireError(
        text("answer: expected ", size, " values of '", name, "', got ", values.size()));
  }
  return values;
}

}  // namespace

AnswerSums::AnswerSums(ClientTask task, Graph graph, Mask mask, const ClientSizes& sizes,
                       std::int64_t bytes_down)
    : task_(std::move(task)),
      graph_(std::move(graph)),
      mask_(travelling(task_, graph_, std::move(mask))),
      sizes_(sizes),
      bytes_down_(bytes_down) {
  sums_ = empty_sums(
      task_, {.parameters = mask_.kept(), .units = task_.ballot ? couple(graph_).unit_count : 0});
  for (const auto& [name, sum] : sums_) names_.insert(name);
  if (!task_.calibration) return;
  for (const std::string& node : task_.calibration->nodes) {
    const std::int64_t at = graph_.node_named(node);  // or the input
    counted_outputs_.push_back(element_count(
        at < 0 ? graph_.input().shape : graph_.nodes()[static_cast<std::size_t>(at)].shape));
  }
}

// Of a row that is added to the others' figures.
void AnswerSums::check_figures(const ClientRow& row) const {
  const LocalPlan& plan = task_.plan;
  const std::int64_t passed =
      plan.steps > 0 ? plan.steps * plan.batch_size : row.weight * plan.epochs;
  const bool is_possible = row.samples >= 0 && row.samples <= (task_.trains() ? passed : 0) &&
                           std::isfinite(row.seconds) && row.seconds >= 0.0;
  const bool is_accepted = row.status == ClientStatus::kAccepted;
  const bool is_finite =
      std::isfinite(row.loss) && std::isfinite(row.update_norm) && row.update_norm >= 0.0;
  if (is_possible && (!is_accepted || is_finite)) return;
  throw WireError(text("answer: client ", row.client, " has figures that cannot be: ", row.samples,
                       " samples, loss ", row.loss, ", norm ", row.update_norm));
}

// A client that lied within the sums' grid would outvote all others.
void AnswerSums::check_counts(const ClientRow& row, const std::string& name,
                              std::span<const float> values) const {
  const auto client = static_cast<std::size_t>(row.client);
  const auto total = [](std::span<const float> counts) {
    return std::accumulate(counts.begin(), counts.end(), 0.0);
  };
  if (name == kOutcomeSum) {
    const double expected = static_cast<double>(sizes_.validation_labels.at(client));
    if (total(values) == expected) return;
    throw WireError(text("answer: client ", row.client, ": expected outcomes of ", expected,
                         " labels, got ", total(values)));
  }
  if (name != kHistogramSum) return;
  const std::int64_t samples = std::min(task_.calibration->samples, sizes_.weights.at(client));
  for (std::size_t i = 0; i < counted_outputs_.size(); ++i) {
    const auto most = static_cast<double>(samples * counted_outputs_[i]);
    if (total(values.subspan(i * kHistogramBins, kHistogramBins)) <= most) continue;
    throw WireError(text("answer: client ", row.client, ": expected at most ", most,
                         " outputs of '", task_.calibration->nodes[i], "'"));
  }
}

void AnswerSums::check(std::int64_t client, const ClientAnswer& answer) const {
  const ClientRow& row = answer.row;
  if (!std::ranges::binary_search(task_.cohort, client))
    throw WireError(
        text("answer: client ", client, " is not in the cohort of round ", task_.round));
  if (row.client != client)
    throw WireError(text("answer: expected that of client ", client, ", got client ", row.client));
  // What is counted or compared is counted once a client (LocalClients).
  const bool is_weighted = !task_.calibration && !task_.gate;
  const std::int64_t weight = is_weighted ? sizes_.weights.at(static_cast<std::size_t>(client)) : 1;
  if (row.weight != weight)
    throw WireError(
        text("answer: client ", client, ": expected a weight of ", weight, ", got ", row.weight));
  check_figures(row);
  if (row.status != ClientStatus::kAccepted) {
    if (row.status == ClientStatus::kRefused && row.reason != RefusalReason::kNone &&
        answer.frames.empty())
      return;
    throw WireError(text("answer: client ", client, " neither accepts nor refuses its task"));
  }
  for (const std::string& name : names_) {
    // A client whose gradients are not finite has no say in the mask (client/mask_ballot.h).
    if (!answer.frames.contains(name) && name != kMaskBallotSum)
      throw WireError(text("answer: client ", client, " sent no '", name, "'"));
  }
  for (const auto& [name, frame] : answer.frames) {
    if (!names_.contains(name))
      throw WireError(
          text("answer: client ", client, " sent '", name, "', which nobody asked for"));
  }
}

// Decodes it, and judges it as the task has it.
RefusalReason AnswerSums::read_update(const ClientRow& row, const std::vector<std::uint8_t>& frame,
                                      std::vector<float>& update) const {
  update.resize(static_cast<std::size_t>(mask_.kept()));
  const auto codec = make_codec(task_.codec, codec_options_of(task_, row.client));
  codec->decode(frame, update);
  const double norm = length_of(update);
  if (!std::isfinite(norm) || !std::isfinite(row.update_norm)) return RefusalReason::kNotFinite;
  // What error feedback adds of earlier rounds is not in the norm that the bound is about.
  const bool is_bounded = task_.norm_bound > 0.0;
  const double longest = (1.0 + kRounding) * codec->norm_growth(update.size()) * task_.norm_bound;
  if (is_bounded && row.update_norm > task_.norm_bound) return RefusalReason::kNormAboveBound;
  if (is_bounded && !task_.residual_decay && norm > longest) return RefusalReason::kNormAboveBound;
  return RefusalReason::kNone;
}

ClientRow AnswerSums::counted(const ClientAnswer& answer) const {
  ClientRow row = answer.row;
  row.bytes_down = bytes_down_;
  row.bytes_up = answer.counted_bytes();
  return row;
}

void AnswerSums::add(std::int64_t client, const ClientAnswer& answer) {
  if (added_.contains(client)) return;
  check(client, answer);
  ClientRow row = counted(answer);
  if (row.status == ClientStatus::kAccepted) {
    std::map<std::string, std::vector<float>> others;  // read before anything is added
    for (const auto& [name, frame] : answer.frames) {
      if (name == kUpdateSum) continue;
      others[name] = decoded(name, frame, sums_.at(name).size());
      check_counts(row, name, others[name]);
    }
    row.reason = RefusalReason::kNone;
    if (const auto update = answer.frames.find(kUpdateSum); update != answer.frames.end()) {
      std::vector<float> values;
      row.reason = read_update(row, update->second, values);
      if (row.reason == RefusalReason::kNone &&
          !add_values(sums_.at(kUpdateSum), values, row.weight))
        row.reason = RefusalReason::kOutOfRange;
    }
    for (const auto& [name, values] : others) {  // one question's, or ballots, which always fit
      if (row.reason != RefusalReason::kNone) break;
      if (!sums_.at(name).add(values, row.weight)) row.reason = RefusalReason::kOutOfRange;
    }
  }
  add_row(row);
}

std::string AnswerSums::not_projected(const AnswerSums& then) const {
  if (!task_.trains() || !then.task_.trains() || then.task_.track != task_.track)
    return "the run has gone on to something else";
  if (then.graph_ != graph_) return "the network has other layers or channels by now";
  return {};
}

void AnswerSums::add_late(std::int64_t client, const AnswerSums& then, const ClientAnswer& answer) {
  if (added_.contains(client)) return;
  if (const std::string reason = not_projected(then); !reason.empty())
    throw Error(text("late answer of client ", client, ": ", reason));
  then.check(client, answer);
  ClientRow row = then.counted(answer);
  if (row.status == ClientStatus::kAccepted) {
    std::vector<float> values;
    row.reason = then.read_update(row, answer.frames.at(kUpdateSum), values);
    if (row.reason == RefusalReason::kNone &&
        !add_values(sums_.at(kUpdateSum), project(values, then.mask_, mask_), row.weight))
      row.reason = RefusalReason::kOutOfRange;
  }
  add_row(row);
}

void AnswerSums::add_row(ClientRow row) {
  if (row.reason != RefusalReason::kNone) row.status = ClientStatus::kRefused;
  added_.insert(row.client);
  rows_.push_back(std::move(row));
}

RankReport AnswerSums::take() {
  RankReport report;
  report.sums[sum_key(task_)] = std::move(sums_);
  report.rows = std::move(rows_);
  return report;
}

}  // namespace coppice
