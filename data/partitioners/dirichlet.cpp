#include <algorithm>  // for max, min, min_element
#include <cmath>      // for floor
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"
#include "data/partitioner.h"

namespace coppice {
namespace {

constexpr std::int64_t kMaxAttempts = 1'000;

// Where each class is cut: cuts[class][client] is the end of the client's run.
using Cuts = std::vector<std::vector<std::int64_t>>;

// Dirichlet(alpha, ..., alpha) over clients, zero for those that own their share already, as ends
// of runs of `size` samples. Empty if all proportions vanish (a tiny alpha can underflow).
std::vector<std::int64_t> draw_cuts(std::int64_t size, double alpha,
                                    const std::vector<bool>& is_full, RandomStream& stream) {
  std::vector<double> proportions;
  double total = 0.0;
  std::size_t last_positive = 0;
  for (std::size_t client = 0; client < is_full.size(); ++client) {
    const double gamma = stream.next_gamma(alpha);
    proportions.push_back(is_full[client] ? 0.0 : gamma);
    if (proportions.back() > 0.0) last_positive = client;
    total += proportions.back();
  }
  if (!(total > 0.0)) return {};
  std::vector<std::int64_t> ends;
  double cumulative = 0.0;
  for (std::size_t client = 0; client < proportions.size(); ++client) {
    cumulative += proportions[client] / total;
    const auto end = static_cast<std::int64_t>(std::floor(cumulative * static_cast<double>(size)));
    // Rounding of the sum must not leave a remainder to a client whose proportion is zero.
    ends.push_back(client >= last_positive ? size : std::min(end, size));
  }
  return ends;
}

struct Draw {
  Cuts cuts = {};
  std::int64_t smallest = 0;  // samples of the client that owns the fewest; -1: the draw failed
};

Draw draw_all(const std::vector<std::vector<std::int64_t>>& classes, std::int64_t samples,
              const PartitionRequest& request, std::int64_t attempt) {
  std::vector<std::int64_t> owned(static_cast<std::size_t>(request.clients));
  std::vector<bool> is_full(owned.size());
  Draw draw;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const auto size = static_cast<std::int64_t>(classes[label].size());
    draw.cuts.emplace_back();
    if (size == 0) continue;
    for (std::size_t client = 0; client < owned.size(); ++client) {
      is_full[client] = owned[client] * request.clients >= samples;
    }
    RandomStream stream = partition_stream(request, static_cast<std::int64_t>(label), attempt);
    draw.cuts.back() = draw_cuts(size, request.alpha, is_full, stream);
    if (draw.cuts.back().empty()) return {.smallest = -1};
    std::int64_t begin = 0;
    for (std::size_t client = 0; client < owned.size(); ++client) {
      owned[client] += draw.cuts.back()[client] - begin;
      begin = draw.cuts.back()[client];
    }
  }
  draw.smallest = *std::min_element(owned.begin(), owned.end());
  return draw;
}

// Shuffles each class and hands out its runs. The order has its own stream: it is drawn for the
// accepted attempt only.
OwnedSamples deal(std::vector<std::vector<std::int64_t>> classes, const Cuts& cuts,
                  const PartitionRequest& request) {
  OwnedSamples owned;
  owned.rows.resize(static_cast<std::size_t>(request.clients));
  for (std::size_t label = 0; label < classes.size(); ++label) {
    if (cuts[label].empty()) continue;
    RandomStream stream = partition_stream(request, static_cast<std::int64_t>(label), kMaxAttempts);
    shuffle(classes[label], stream);
    std::int64_t begin = 0;
    for (std::size_t client = 0; client < owned.rows.size(); ++client) {
      const std::int64_t end = cuts[label][client];
      owned.rows[client].insert(owned.rows[client].end(), classes[label].begin() + begin,
                                classes[label].begin() + end);
      begin = end;
    }
  }
  return owned;
}

}  // namespace

// Li et al. 2022, "Federated learning on non-IID data silos" (NIID-Bench), noniid-labeldir: class
// by class, proportions over clients from Dirichlet(alpha), zeroed for clients that own >= N /
// clients samples, renormalised; all is drawn again until the smallest client owns min_samples.
OwnedSamples partition_dirichlet(const Dataset& dataset, const PartitionRequest& request) {
  if (!(request.alpha > 0.0)) {
    throw ConfigError(text("data.partition.alpha: expected a value > 0, got ", request.alpha));
  }
  const std::int64_t samples = dataset.train.size;
  const std::int64_t min_samples = std::max<std::int64_t>(1, request.min_samples);
  if (min_samples > samples / request.clients) {
    throw ConfigError(text("partition 'dirichlet': ", request.clients, " clients with at least ",
                           min_samples, " samples each need more than the ", samples,
                           " there are"));
  }
  auto classes = rows_by_class(dataset, request.scheme);
  std::int64_t best = 0;
  for (std::int64_t attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Draw draw = draw_all(classes, samples, request, attempt);
    if (draw.smallest >= min_samples) return deal(std::move(classes), draw.cuts, request);
    best = std::max(best, draw.smallest);
  }
  throw ConfigError(text("partition 'dirichlet': no draw of ", kMaxAttempts, " gave each of ",
                         request.clients, " clients ", min_samples, " samples (alpha ",
                         request.alpha, "; the best gave ", best,
                         "); raise alpha, or lower min_samples or clients"));
}

}  // namespace coppice
