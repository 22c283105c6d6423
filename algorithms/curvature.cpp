#include "algorithms/curvature.h"

#include <algorithm>  // for clamp, any_of
#include <array>      // for array
#include <cmath>      // for isfinite
#include <numeric>    // for accumulate

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

double sum_of(std::span<const std::int64_t> counts, const char* whose) {
  if (std::ranges::any_of(counts, [](std::int64_t count) { return count < 0; }))
    throw ConfigError(text("class weights: a ", whose, " count is negative"));
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (!(sum > 0.0)) throw ConfigError(text("class weights: the ", whose, " counts are all 0"));
  return sum;
}

void check_half(std::int64_t half_batch_size) {
  if (half_batch_size >= 1) return;
  throw ConfigError(
      text("curvature: expected a sample or more in half a batch, got ", half_batch_size));
}

// In as many sums as processors add at once: the same everywhere.
double dot(std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> sums{};
  const std::size_t whole = a.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += double{a[i + lane]} * double{b[i + lane]};
  }
  for (std::size_t i = whole; i < a.size(); ++i) sums[i - whole] += double{a[i]} * double{b[i]};
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

std::vector<double> class_weights(std::span<const std::int64_t> global_counts,
                                  std::span<const std::int64_t> local_counts, double kappa) {
  if (global_counts.size() != local_counts.size()) {
    throw ConfigError(text("class weights: expected ", global_counts.size(), " local counts, got ",
                           local_counts.size()));
  }
  if (!(std::isfinite(kappa) && kappa >= 1.0))
    throw ConfigError(text("class weights: expected kappa of 1 or more, got ", kappa));
  const double global_sum = sum_of(global_counts, "global");
  const double local_sum = sum_of(local_counts, "local");
  std::vector<double> out;
  for (std::size_t c = 0; c < global_counts.size(); ++c) {
    const double global = static_cast<double>(global_counts[c]) / global_sum;
    const double local = static_cast<double>(local_counts[c]) / local_sum;
    if (local > 0.0) {
      out.push_back(std::clamp(global / local, 1.0 / kappa, kappa));
    } else {
      out.push_back(global > 0.0 ? kappa : 1.0);
    }
  }
  return out;
}

void accumulate_curvature(std::span<const float> mean_gradient_a,
                          std::span<const float> mean_gradient_b, std::int64_t half_batch_size,
                          std::span<float> curvature) {
  if (mean_gradient_a.size() != curvature.size() || mean_gradient_b.size() != curvature.size()) {
    throw ConfigError(text("curvature: expected two gradients of ", curvature.size(),
                           " values, got ", mean_gradient_a.size(), " and ",
                           mean_gradient_b.size()));
  }
  check_half(half_batch_size);
  const float quarter_batch = static_cast<float>(half_batch_size) / 2.0F;
  for (std::size_t i = 0; i < curvature.size(); ++i) {
    const float difference = mean_gradient_a[i] - mean_gradient_b[i];
    curvature[i] += quarter_batch * difference * difference;
  }
}

double bend_along(std::span<const float> difference, std::int64_t half_batch_size,
                  std::span<const float> change) {
  if (difference.size() != change.size()) {
    throw ConfigError(text("curvature: expected a change of ", difference.size(), " values, got ",
                           change.size()));
  }
  check_half(half_batch_size);
  const double along = dot(difference, change);
  return static_cast<double>(half_batch_size) / 4.0 * along * along;
}

}  // namespace coppice
