#include "client/sensing.h"

#include <algorithm>   // for any_of, max, min, transform, upper_bound
#include <functional>  // for function, minus
#include <iterator>    // for back_inserter, ssize
#include <numeric>     // for iota
#include <utility>     // for move

#include "algorithms/block_axes.h"
#include "algorithms/curvature.h"
#include "algorithms/sensitivity.h"
#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace coppice {
namespace {

// Of the step that shows a gradient. A power of two, large enough that the weight it is taken from
// does not round the gradient away.
constexpr float kStep = 256.0F;

constexpr std::int64_t kMostFloats = std::int64_t{1} << 26;  // 256 MiB

std::span<const float> part_of(std::span<const float> values, const ParameterSpec& tensor) {
  return values.subspan(static_cast<std::size_t>(tensor.offset),
                        static_cast<std::size_t>(tensor.size()));
}

// The gradient of the mean cross-entropy over samples `indices` of `source`, by one step of plain
// gradient descent: g = (before - after) / step. Executors need no other way to give it.
class GradientProbe {
 public:
  GradientProbe(Executor& executor, const ModelView& model, const SampleSource& source)
      : executor_(executor), model_(model), source_(source) {
    plan_.optimizer.lr = kStep;
    plan_.epochs = 0;
    plan_.steps = 1;
  }

  void gradient(std::span<const std::int64_t> indices, const SensingDraw& draw,
                std::vector<float>& out) {
    const SampleSource batch = part_of(indices);
    plan_.batch_size = batch.size;
    TrainRequest request;
    request.plan = &plan_;
    request.source = &batch;
    request.global = model_.parameters;
    request.seed = draw.seed;
    request.client = draw.client;
    request.round = draw.round;
    executor_.train(request);
    const std::span<const float> after = executor_.parameters();
    out.resize(after.size());
    std::ranges::transform(model_.parameters, after, out.begin(),
                           [](float before, float stepped) { return (before - stepped) / kStep; });
  }

 private:
  SampleSource part_of(std::span<const std::int64_t> indices) {
    return {.size = std::ssize(indices),
            .samples =
                [this, indices](std::span<const std::int64_t> places, std::span<float> out) {
                  source_.samples(resolve(indices, places), out);
                },
            .labels =
                [this, indices](std::span<const std::int64_t> places, std::span<std::int32_t> out) {
                  source_.labels(resolve(indices, places), out);
                }};
  }

  std::span<const std::int64_t> resolve(std::span<const std::int64_t> indices,
                                        std::span<const std::int64_t> places) {
    resolved_.resize(places.size());
    std::ranges::transform(places, resolved_.begin(), [&](std::int64_t place) {
      return indices[static_cast<std::size_t>(place)];
    });
    return resolved_;
  }

  Executor& executor_;
  const ModelView& model_;
  const SampleSource& source_;
  LocalPlan plan_;
  std::vector<std::int64_t> resolved_;
};

// How much more, or less, a sample of a class may count than another one.
constexpr double kMostClassWeight = 10.0;

// Draws samples of a client as if it had the class mix of all clients: a class by what the client
// has of it times class_weights() (algorithms/curvature.h), then one of its samples.
class ClassDraw {
 public:
  // Throws ConfigError for a label that `global_counts` has no class for.
  ClassDraw(const SampleSource& source, std::span<const std::int64_t> global_counts) {
    std::vector<std::vector<std::int64_t>> samples(global_counts.size());
    std::vector<std::int64_t> all(static_cast<std::size_t>(source.size));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    std::vector<std::int32_t> labels(all.size());
    source.labels(all, labels);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto label = static_cast<std::size_t>(labels[i]);
      if (label >= samples.size()) {
        throw ConfigError(
            text("sensitivities: expected labels below ", samples.size(), ", got ", labels[i]));
      }
      samples[label].push_back(all[i]);
    }
    std::vector<std::int64_t> counts;
    counts.reserve(samples.size());
    for (const std::vector<std::int64_t>& of_class : samples)
      counts.push_back(std::ssize(of_class));
    const std::vector<double> weights = class_weights(global_counts, counts, kMostClassWeight);
    double end = 0.0;
    for (std::size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] == 0) continue;
      end += weights[c] * static_cast<double>(counts[c]);
      ends_.push_back(end);
      samples_.push_back(std::move(samples[c]));
    }
  }

  std::int64_t next(RandomStream& stream) const {
    const double at = stream.next_uniform_double() * ends_.back();
    const auto found = std::upper_bound(ends_.begin(), ends_.end() - 1, at);
    const std::vector<std::int64_t>& of_class =
        samples_[static_cast<std::size_t>(found - ends_.begin())];
    return of_class[stream.next_below(of_class.size())];
  }

 private:
  std::vector<std::vector<std::int64_t>> samples_;  // of each class that the client has
  std::vector<double> ends_;                        // of the classes' shares, one after the other
};

// The samples of all halves, one after the other. Balanced ones may come twice: that leaves halves
// independent, as the estimate wants them.
std::vector<std::int64_t> drawn_samples(const SampleSource& source,
                                        std::span<const std::int64_t> class_counts,
                                        std::int64_t count, const SensingDraw& draw) {
  RandomStream stream({draw.seed, draw.purpose, draw.client, draw.round});
  if (class_counts.empty()) return random_permutation(source.size, stream);
  std::vector<std::int64_t> out;
  if (count == 0) return out;
  const ClassDraw classes(source, class_counts);
  for (std::int64_t i = 0; i < count; ++i) out.push_back(classes.next(stream));
  return out;
}

// Called with the mean gradients of two halves; valid until it returns.
using PairVisitor = std::function<void(std::span<const float>, std::span<const float>)>;

// How many pairs of halves of how many samples a client has.
struct Pairs {
  std::int64_t count = 0;
  std::int64_t half = 0;  // samples
};

Pairs pairs_of(const SampleSource& source, std::int64_t batches, std::int64_t half_batch) {
  const std::int64_t half = std::min(half_batch, source.size / 2);
  if (half == 0) return {};
  return {.count = std::min(batches, source.size / (2 * half)), .half = half};
}

Pairs pairs_of(const SampleSource& source, const SenseRequest& request) {
  return pairs_of(source, request.batches, request.half_batch);
}

void visit_pairs(Executor& executor, const ModelView& model, const SampleSource& source,
                 const Pairs& pairs, std::span<const std::int64_t> class_counts,
                 const SensingDraw& draw, const PairVisitor& visit) {
  const std::vector<std::int64_t> order =
      drawn_samples(source, class_counts, 2 * pairs.half * pairs.count, draw);
  GradientProbe probe(executor, model, source);
  std::vector<float> first;
  std::vector<float> second;
  const auto half = static_cast<std::size_t>(pairs.half);
  for (std::int64_t pair = 0; pair < pairs.count; ++pair) {
    const auto both = std::span(order).subspan(2 * half * static_cast<std::size_t>(pair), 2 * half);
    probe.gradient(both.first(half), draw, first);
    probe.gradient(both.last(half), draw, second);
    visit(first, second);
  }
}

}  // namespace

GradientPairs gradient_pairs(Executor& executor, const ModelView& model, const SampleSource& source,
                             const BallotRequest& request, const SensingDraw& draw) {
  Pairs pairs = pairs_of(source, request.batches, request.half_batch);
  const std::int64_t floats = std::max<std::int64_t>(1, 2 * std::ssize(model.parameters));
  pairs.count = std::min(pairs.count, std::max<std::int64_t>(1, kMostFloats / floats));
  GradientPairs out{.values = {}, .half_batch = pairs.half};
  visit_pairs(executor, model, source, pairs, {}, draw,
              [&](std::span<const float> first, std::span<const float> second) {
                out.values.insert(out.values.end(), first.begin(), first.end());
                out.values.insert(out.values.end(), second.begin(), second.end());
              });
  return out;
}

std::vector<float> estimate_curvature(Executor& executor, const ModelView& model,
                                      const SampleSource& source, const SenseRequest& request,
                                      const SensingDraw& draw) {
  std::vector<float> curvature(model.parameters.size());
  const Pairs pairs = pairs_of(source, request);
  visit_pairs(executor, model, source, pairs, request.class_counts, draw,
              [&](std::span<const float> first, std::span<const float> second) {
                accumulate_curvature(first, second, pairs.half, curvature);
              });
  if (pairs.count == 0) return curvature;
  for (float& value : curvature) value /= static_cast<float>(pairs.count);
  return curvature;
}

std::vector<float> mean_gradient(Executor& executor, const ModelView& model,
                                 const SampleSource& source, std::int64_t batches,
                                 std::int64_t half_batch, const SensingDraw& draw) {
  std::vector<float> gradient(model.parameters.size());
  const Pairs pairs = pairs_of(source, batches, half_batch);
  visit_pairs(executor, model, source, pairs, {}, draw,
              [&](std::span<const float> first, std::span<const float> second) {
                for (std::size_t i = 0; i < gradient.size(); ++i)
                  gradient[i] += 0.5F * (first[i] + second[i]);
              });
  if (pairs.count == 0) return gradient;
  for (float& value : gradient) value /= static_cast<float>(pairs.count);
  return gradient;
}

CandidateChanges::CandidateChanges(const Graph& graph, std::span<const float> parameters,
                                   const SenseRequest& request)
    : parameters_(parameters), request_(request) {
  std::int64_t elements = 0;
  for (const std::string& name : request.parameters) {
    const int index = graph.parameter_named(name);
    if (index < 0) throw ConfigError(text("sensitivities: no parameter '", name, "'"));
    tensors_.push_back(with_block_axes(graph, graph.parameters()[static_cast<std::size_t>(index)]));
    elements += tensors_.back().size();
  }
  const bool has_widths = std::ranges::any_of(
      request.candidates, [](const WeightCandidate& one) { return one.channels < 1.0; });
  if (has_widths) widths_ = ChannelWidths(graph, parameters);
  if (elements * std::ssize(request.candidates) > kMostFloats) return;
  changes_.resize(table_size());
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    std::vector<float>* const of_tensor = changes_.data() + t * request.candidates.size();
    candidate_changes(
        tensors_[t], part_of(parameters, tensors_[t]), request.candidates,
        [&](std::size_t candidate, std::span<const float> change) {
          of_tensor[candidate].assign(change.begin(), change.end());
        },
        widths_);
  }
}

void CandidateChanges::add(std::span<const float> differences, std::int64_t half_batch,
                           std::span<double> table) const {
  const std::size_t candidates = request_.candidates.size();
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const ParameterSpec& tensor = tensors_[t];
    const auto add_one = [&](std::size_t candidate, std::span<const float> change) {
      double& entry = table[t * candidates + candidate];
      for (auto rest = differences; !rest.empty(); rest = rest.subspan(parameters_.size()))
        entry += bend_along(part_of(rest, tensor), half_batch, change);
    };
    if (changes_.empty()) {
      candidate_changes(tensor, part_of(parameters_, tensor), request_.candidates, add_one,
                        widths_);
      continue;
    }
    for (std::size_t c = 0; c < candidates; ++c) {
      const std::vector<float>& change = changes_[t * candidates + c];
      if (!change.empty()) add_one(c, change);
    }
  }
}

std::vector<float> estimate_sensitivities(Executor& executor, const ModelView& model,
                                          const SampleSource& source, const SenseRequest& request,
                                          const CandidateChanges& changes,
                                          const SensingDraw& draw) {
  std::vector<double> table(changes.table_size());
  const Pairs pairs = pairs_of(source, request);
  // Candidates may have to be made again for every group of pairs; sums are the same for any.
  std::vector<float> differences;
  const auto add_all = [&] {
    changes.add(differences, pairs.half, table);
    differences.clear();
  };
  visit_pairs(executor, model, source, pairs, request.class_counts, draw,
              [&](std::span<const float> first, std::span<const float> second) {
                if (std::ssize(differences) + std::ssize(first) > kMostFloats) add_all();
                std::ranges::transform(first, second, std::back_inserter(differences),
                                       std::minus<>());
              });
  add_all();
  std::vector<float> out(table.size());
  const auto count = static_cast<double>(std::max<std::int64_t>(1, pairs.count));
  std::ranges::transform(table, out.begin(),
                         [&](double sum) { return static_cast<float>(sum / count); });
  return out;
}

}  // namespace coppice
