#include "client/sensing.h"

#include <algorithm>  // for min, transform

#include "algorithms/sensitivity.h"
#include "core/random.h"

namespace coppice {
namespace {

// Of the step that shows a gradient. A power of two, large enough that the weight it is taken from
// does not round the gradient away.
constexpr float kStep = 256.0F;

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

}  // namespace coppice
