#pragma once
// A model at rest: graph, parameters, mask, quantization plan, where it came from, and (between
// rounds) the server's own state. Stored in the safetensors layout, so that other tools read the
// weights by name; the graph travels as JSON in the file's metadata. Plain value.

#include <cstdint>      // for int64_t
#include <map>          // for map
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/graph.h"
#include "core/mask.h"
#include "core/quant_plan.h"

namespace coppice {

using NamedBuffers = std::map<std::string, std::vector<float>>;

struct Checkpoint {
  Graph graph;
  std::vector<float> parameters;  // graph.parameter_count() of them
  std::optional<Mask> mask;       // of the same size; absent: everything is kept
  QuantPlan plan;
  std::int64_t round = 0;       // rounds that went into it
  std::int64_t mask_epoch = 0;  // shrinks that went into it
  NamedBuffers server_state;    // of the strategy; empty in a finished model
  // Of what the server's state keeps of an earlier model; absent: there is none, or it is `graph`.
  std::optional<Graph> kept_graph;
  std::map<std::string, std::string> provenance;  // free text: seed, config hash, executor,
                                                  // versions
};

// SHA-256 over the canonical bytes of graph, parameters, mask and plan; never over rounds, timings
// or provenance.
std::string model_sha256(const Checkpoint& checkpoint);

std::vector<std::uint8_t> to_bytes(const Checkpoint& checkpoint);

// Throws DataError "`what`: ..." for bytes that to_bytes() did not make, among them a model whose
// hash is not the stored one; ConfigError if the graph is not valid.
Checkpoint checkpoint_from_bytes(std::span<const std::uint8_t> bytes, std::string_view what);

// Initial weights for `graph` from any safetensors file: one F32 tensor of the right shape for
// every parameter, matched by name. Throws DataError naming the first tensor that is missing, of
// another shape or dtype, or unknown to the graph.
std::vector<float> weights_for(const Graph& graph, std::span<const std::uint8_t> bytes,
                               std::string_view what);

}  // namespace coppice
