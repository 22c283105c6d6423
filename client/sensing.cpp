#include "client/sensing.h"

#include <algorithm>  // for all_of, min, transform
#include <cmath>      // for isfinite
#include <limits>     // for numeric_limits

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

constexpr std::int64_t kMostErrors = std::int64_t{1} << 26;  // floats, 256 MiB

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

}  // namespace

std::vector<float> estimate_curvature(Executor& executor, const ModelView& model,
                                      const SampleSource& source, const SenseRequest& request,
                                      const SensingDraw& draw) {
  std::vector<float> curvature(model.parameters.size());
  const std::int64_t half = std::min(request.half_batch, source.size / 2);
  if (half == 0) return curvature;
  const std::int64_t pairs = std::min(request.batches, source.size / (2 * half));
  RandomStream stream({draw.seed, Purpose::kSensing, draw.client, draw.round});
  const std::vector<std::int64_t> order = random_permutation(source.size, stream);
  GradientProbe probe(executor, model, source);
  std::vector<float> first;
  std::vector<float> second;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const auto both = std::span(order).subspan(static_cast<std::size_t>(2 * half * pair),
                                               static_cast<std::size_t>(2 * half));
    probe.gradient(both.first(static_cast<std::size_t>(half)), draw, first);
    probe.gradient(both.last(static_cast<std::size_t>(half)), draw, second);
    accumulate_curvature(first, second, half, curvature);
  }
  for (float& value : curvature) value /= static_cast<float>(pairs);
  return curvature;
}

CandidateErrors::CandidateErrors(const Graph& graph, std::span<const float> parameters,
                                 const SenseRequest& request)
    : parameters_(parameters), request_(request) {
  std::int64_t elements = 0;
  for (const std::string& name : request.parameters) {
    const int index = graph.parameter_named(name);
    if (index < 0) throw ConfigError(text("sensitivities: no parameter '", name, "'"));
    tensors_.push_back(&graph.parameters()[static_cast<std::size_t>(index)]);
    elements += tensors_.back()->size();
  }
  if (elements * std::ssize(request.candidates) > kMostErrors) return;
  for (const ParameterSpec* tensor : tensors_) {
    candidate_errors(*tensor, part_of(parameters, *tensor), request.candidates,
                     [this](std::size_t, std::span<const float> squares) {
                       squares_.emplace_back(squares.begin(), squares.end());
                     });
  }
}

std::vector<float> CandidateErrors::table(std::span<const float> curvature) const {
  const std::size_t candidates = request_.candidates.size();
  std::vector<float> out;
  if (!std::ranges::all_of(curvature, [](float value) { return std::isfinite(value); })) {
    out.resize(tensors_.size() * candidates, std::numeric_limits<float>::quiet_NaN());
    return out;
  }
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const auto bends = part_of(curvature, *tensors_[t]);
    if (squares_.empty()) {
      for (const double loss : sensitivity(*tensors_[t], part_of(parameters_, *tensors_[t]), bends,
                                           request_.candidates))
        out.push_back(static_cast<float>(loss));
      continue;
    }
    for (std::size_t c = 0; c < candidates; ++c)
      out.push_back(static_cast<float>(predicted_loss(squares_[t * candidates + c], bends)));
  }
  return out;
}

}  // namespace coppice
