#include "algorithms/regrowth.h"

#include <algorithm>  // for clamp, nth_element
#include <cmath>      // for abs, cos, llround
#include <numbers>    // for pi
#include <tuple>      // for tuple

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

void require_size(const char* what, std::size_t size, std::int64_t expected) {
  if (static_cast<std::int64_t>(size) != expected)
    throw ConfigError(text("regrowth: expected ", expected, " ", what, ", got ", size));
}

void require_count(const char* what, std::int64_t count, std::size_t most) {
  if (count < 0 || count > static_cast<std::int64_t>(most))
    throw ConfigError(text("regrowth: ", count, " ", what, ", there are ", most));
}

using Indices = std::vector<std::int64_t>;

// Of the weights that the mask keeps, or of the others; ascending.
Indices indices_of(const Mask& mask, bool is_kept) {
  if (is_kept) return mask.kept_indices();
  Indices out;
  for (std::int64_t i = 0; i < mask.size(); ++i) {
    if (!mask.keeps(i)) out.push_back(i);
  }
  return out;
}

// The `count` of `indices` with the largest key, in any order; ties go to the lower index, so that
// which they are does not depend on how they are found.
template <typename Key>
Indices largest(Indices indices, std::int64_t count, const char* what, Key&& key) {
  require_count(what, count, indices.size());
  const auto end = indices.begin() + static_cast<std::ptrdiff_t>(count);
  std::nth_element(indices.begin(), end, indices.end(), [&](std::int64_t a, std::int64_t b) {
    return std::tuple(key(b), a) < std::tuple(key(a), b);
  });
  indices.erase(end, indices.end());
  return indices;
}

template <typename Value>
Value at(std::span<const Value> values, std::int64_t index) {
  return values[static_cast<std::size_t>(index)];
}

float magnitude(std::span<const float> values, std::int64_t index) {
  return std::abs(at(values, index));
}

}  // namespace

std::optional<RegrowMethod> regrow_method(std::string_view allocator) {
  if (allocator == "feddst") return RegrowMethod{RegrowRule::kVotes, 0.5};
  if (allocator == "fedrts") return RegrowMethod{RegrowRule::kPosterior, 0.2};
  return std::nullopt;
}

double regrow_share(double share, std::int64_t done, std::int64_t steps) {
  if (done < 0 || done >= steps)
    throw ConfigError(text("regrowth: adjustment ", done, " of ", steps, ", counted from 0"));
  const double turn = static_cast<double>(done) / static_cast<double>(steps);
  return share / 2.0 * (1.0 + std::cos(std::numbers::pi * turn));
}

std::int64_t moved_weights(double share, std::int64_t kept, std::int64_t weights) {
  require_count("kept weights", kept, static_cast<std::size_t>(weights));
  const std::int64_t wanted = std::llround(share * static_cast<double>(kept));
  return std::clamp<std::int64_t>(wanted, 0, std::min(kept, weights - kept));
}

std::vector<float> layer_ballot(const Mask& mask, std::span<const float> weights,
                                std::span<const float> gradient, std::int64_t kept,
                                std::int64_t grown) {
  require_size("weights", weights.size(), mask.size());
  require_size("gradients", gradient.size(), mask.size());
  std::vector<float> ballot(weights.size(), 0.0F);
  const auto vote_for = [&](const Indices& indices) {
    for (const std::int64_t index : indices) ballot[static_cast<std::size_t>(index)] = 1.0F;
  };
  vote_for(largest(indices_of(mask, true), kept, "weights to keep",
                   [&](std::int64_t i) { return magnitude(weights, i); }));
  vote_for(largest(indices_of(mask, false), grown, "weights to grow",
                   [&](std::int64_t i) { return magnitude(gradient, i); }));
  return ballot;
}

Mask exchange_by_votes(const Mask& mask, std::span<const float> weights,
                       std::span<const std::int64_t> votes, std::int64_t count) {
  require_size("weights", weights.size(), mask.size());
  require_size("votes", votes.size(), mask.size());
  const auto rank = [&](std::int64_t i) { return std::tuple(at(votes, i), magnitude(weights, i)); };
  require_count("weights to move", count, static_cast<std::size_t>(mask.kept()));
  Mask out(mask.size(), false);
  for (const std::int64_t i :
       largest(indices_of(mask, true), mask.kept() - count, "weights to keep", rank))
    out.set(i, true);
  for (const std::int64_t i : largest(indices_of(mask, false), count, "weights to grow", rank))
    out.set(i, true);
  return out;
}

void join_evidence(const Mask& mask, std::span<const float> weights,
                   std::span<const std::int64_t> votes, std::int64_t total, std::int64_t kept,
                   const PosteriorRates& rates, std::span<float> alphas, std::span<float> betas) {
  require_size("weights", weights.size(), mask.size());
  require_size("votes", votes.size(), mask.size());
  require_size("alphas", alphas.size(), mask.size());
  require_size("betas", betas.size(), mask.size());
  if (total <= 0) throw ConfigError(text("regrowth: ballots of weight ", total));
  std::vector<double> outcomes(weights.size(), 0.5);
  for (const std::int64_t i : mask.kept_indices()) outcomes[static_cast<std::size_t>(i)] = 0.0;
  for (const std::int64_t i : largest(indices_of(mask, true), kept, "weights to keep",
                                      [&](std::int64_t j) { return magnitude(weights, j); }))
    outcomes[static_cast<std::size_t>(i)] = 1.0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const double voted = static_cast<double>(votes[i]) / static_cast<double>(total);
    const double outcome = (1.0 - rates.ballots) * outcomes[i] + rates.ballots * voted;
    alphas[i] = static_cast<float>(double{alphas[i]} + rates.evidence * outcome);
    betas[i] = static_cast<float>(double{betas[i]} + rates.evidence * (1.0 - outcome));
  }
}

Mask drawn_mask(std::span<const float> alphas, std::span<const float> betas, std::int64_t count,
                RandomStream& stream) {
  require_size("betas", betas.size(), static_cast<std::int64_t>(alphas.size()));
  std::vector<double> draws;
  draws.reserve(alphas.size());
  for (std::size_t i = 0; i < alphas.size(); ++i)
    draws.push_back(next_beta(stream, double{alphas[i]}, double{betas[i]}));
  Mask out(static_cast<std::int64_t>(alphas.size()), false);
  for (const std::int64_t i : largest(indices_of(out, false), count, "weights to draw",
                                      [&](std::int64_t j) { return at<double>(draws, j); }))
    out.set(i, true);
  return out;
}

double next_beta(RandomStream& stream, double alpha, double beta) {
  const double a = stream.next_gamma(alpha);
  const double b = stream.next_gamma(beta);
  return a / (a + b);
}

}  // namespace coppice
