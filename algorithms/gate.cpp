#include "algorithms/gate.h"

#include <algorithm>  // for clamp, max, min
#include <cmath>      // for erfc, sqrt
#include <numbers>    // for sqrt2

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// The roots in rho of n (P - rho Q)^2 = z^2 ((P - 2 rho A + rho^2 Q) - (P - rho Q)^2), the squared
// distance of the mean of x from 0 against its squared standard error: P and Q are the shares of
// labels that the compressed and the dense model have right, A the share that both have.
void set_bounds(const OutcomeCounts& counts, double confidence, Retention& out) {
  const double n = static_cast<double>(counts.labels()) + 2.0;
  const double both = (static_cast<double>(counts.both) + 0.5) / n;
  const double compressed = both + (static_cast<double>(counts.only_compressed) + 0.5) / n;
  const double dense = both + (static_cast<double>(counts.only_dense) + 0.5) / n;
  const double z = normal_quantile(confidence);
  const double inside = z * z / (n + z * z);
  const double square = dense * dense - inside * dense;
  const double linear = compressed * dense - inside * both;  // minus half of the coefficient
  const double constant = compressed * compressed - inside * compressed;
  if (square <= 0.0) {
    out.lower_bound = 0.0;
    return;
  }
  const double root = std::sqrt(std::max(0.0, linear * linear - square * constant));
  out.lower_bound = std::max(0.0, (linear - root) / square);
  out.upper_bound = (linear + root) / square;
}

}  // namespace

double normal_quantile(double probability) {
  if (!(probability >= 0.5 && probability < 1.0))
    throw ConfigError(
        text("normal quantile: expected a probability in [0.5, 1), got ", probability));
  double low = 0.0;
  double high = 40.0;
  while (high - low > 1e-13) {
    const double middle = (low + high) / 2.0;
    const double beyond = std::erfc(middle / std::numbers::sqrt2) / 2.0;
    (beyond > 1.0 - probability ? low : high) = middle;
  }
  return (low + high) / 2.0;
}

std::optional<Retention> retention(const OutcomeCounts& counts, double confidence) {
  if (std::min({counts.both, counts.only_dense, counts.only_compressed, counts.neither}) < 0)
    throw ConfigError("gate: expected counts of at least 0");
  const std::int64_t dense = counts.both + counts.only_dense;
  if (dense == 0) return std::nullopt;
  Retention out;
  out.estimate =
      static_cast<double>(counts.both + counts.only_compressed) / static_cast<double>(dense);
  if (counts.labels() >= kFewestLabels) set_bounds(counts, confidence, out);
  return out;
}

std::int64_t StepControl::next(std::int64_t choices) const {
  const std::int64_t left = kWhole - progress;
  const std::int64_t even = (left + choices - 1) / choices;
  const std::int64_t wanted = has_failed ? step : std::max(step, even);
  return progress + std::clamp<std::int64_t>(wanted, 1, left);
}

void StepControl::pass(std::int64_t tried) {
  step = std::max<std::int64_t>(1, (tried - progress) * 5 / 4);
  progress = tried;
}

void StepControl::fail(std::int64_t tried) {
  step = std::max<std::int64_t>(1, (tried - progress) / 2);
  has_failed = true;
}

}  // namespace coppice
