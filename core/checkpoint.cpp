#include "core/checkpoint.h"

#include <cstring>  // for memcpy

#include "core/digest.h"
#include "core/error.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::string_view kFormat = "coppice-checkpoint-1";
constexpr std::string_view kStatePrefix = "server_state.";
constexpr const char* kKeptGraph = "kept_graph";
constexpr std::string_view kMaskName = "coppice.mask";
constexpr std::string_view kProvenancePrefix = "provenance.";

std::span<const std::uint8_t> word_bytes(const Mask& mask) {
  return {reinterpret_cast<const std::uint8_t*>(mask.words().data()), mask.words().size_bytes()};
}

Mask read_mask(const TensorBytes& tensor, std::int64_t size) {
  if (tensor.dtype != "U64") throw DataError("mask: expected dtype U64, got " + tensor.dtype);
  std::vector<std::uint64_t> words(tensor.bytes.size() / sizeof(std::uint64_t));
  if (!words.empty()) std::memcpy(words.data(), tensor.bytes.data(), tensor.bytes.size());
  return Mask::from_words(size, std::move(words));
}

const std::string& metadata_of(const TensorFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) throw DataError("no '" + key + "' in the file's metadata");
  return found->second;
}

std::int64_t parse_count(const std::string& digits) {
  const Json value = Json::parse(digits, "count");
  if (value.as_integer() < 0) throw DataError("expected a count, got " + digits.substr(0, 32));
  return value.as_integer();
}

// Everything but the hash, which the caller compares.
Checkpoint assemble(const TensorFile& file) {
  if (metadata_of(file, "format") != kFormat) {
    throw DataError(text("expected format ", kFormat, ", got '",
                         metadata_of(file, "format").substr(0, 64), "'"));
  }
  Checkpoint out;
  out.graph = Graph::from_json(metadata_of(file, "graph"));
  out.plan = quant_plan_from_json(metadata_of(file, "quant_plan"), out.graph);
  out.round = parse_count(metadata_of(file, "round"));
  out.mask_epoch = parse_count(metadata_of(file, "mask_epoch"));
  if (const auto kept = file.metadata.find(kKeptGraph); kept != file.metadata.end())
    out.kept_graph = Graph::from_json(kept->second);
  for (const auto& [key, value] : file.metadata) {
    if (key.starts_with(kProvenancePrefix))
      out.provenance[key.substr(kProvenancePrefix.size())] = value;
  }
  std::size_t used = out.graph.parameters().size();
  if (file.tensors.size() < used)
    throw DataError(text("expected ", used, " parameters, got ", file.tensors.size()));
  for (std::size_t i = 0; i < used; ++i) {
    const ParameterSpec& parameter = out.graph.parameters()[i];
    const TensorBytes& tensor = file.tensors[i];
    if (tensor.name != parameter.name || tensor.shape != parameter.shape) {
      throw DataError(text("expected parameter ", parameter.name, " ", shape_text(parameter.shape),
                           ", got '", tensor.name.substr(0, 64), "' ", shape_text(tensor.shape)));
    }
    const std::vector<float> values = floats_of(tensor, "checkpoint");
    out.parameters.insert(out.parameters.end(), values.begin(), values.end());
  }
  for (; used < file.tensors.size(); ++used) {
    const TensorBytes& tensor = file.tensors[used];
    if (tensor.name == kMaskName) {
      out.mask = read_mask(tensor, out.graph.parameter_count());
    } else if (tensor.name.starts_with(kStatePrefix)) {
      out.server_state[tensor.name.substr(kStatePrefix.size())] = floats_of(tensor, "server state");
    } else {
      throw DataError("unexpected tensor '" + tensor.name.substr(0, 64) + "'");
    }
  }
  return out;
}

}  // namespace

std::string model_sha256(const Checkpoint& checkpoint) {
  Sha256 digest;
  digest.update(std::string_view("coppice-model-1\n"));
  digest.update(checkpoint.graph.to_json());
  digest.update(std::string_view("\nparameters\n"));
  digest.update(bytes_of(checkpoint.parameters));
  digest.update(std::string_view("\nmask\n"));
  if (checkpoint.mask) digest.update(word_bytes(*checkpoint.mask));
  digest.update(std::string_view("\nplan\n"));
  digest.update(to_json(checkpoint.plan));
  return hex(digest.finish());
}

std::vector<std::uint8_t> to_bytes(const Checkpoint& checkpoint) {
  if (static_cast<std::int64_t>(checkpoint.parameters.size()) !=
      checkpoint.graph.parameter_count()) {
    throw Error(text("checkpoint: expected ", checkpoint.graph.parameter_count(),
                     " parameters, got ", checkpoint.parameters.size()));
  }
  TensorFile file;
  file.metadata["format"] = kFormat;
  file.metadata["graph"] = checkpoint.graph.to_json();
  file.metadata["quant_plan"] = to_json(checkpoint.plan);
  if (checkpoint.kept_graph) file.metadata[kKeptGraph] = checkpoint.kept_graph->to_json();
  file.metadata["round"] = std::to_string(checkpoint.round);
  file.metadata["mask_epoch"] = std::to_string(checkpoint.mask_epoch);
  file.metadata["model_sha256"] = model_sha256(checkpoint);
  for (const auto& [key, value] : checkpoint.provenance)
    file.metadata[std::string(kProvenancePrefix) + key] = value;
  const std::span<const float> all(checkpoint.parameters);
  for (const ParameterSpec& parameter : checkpoint.graph.parameters()) {
    const auto values = all.subspan(static_cast<std::size_t>(parameter.offset),
                                    static_cast<std::size_t>(parameter.size()));
    file.tensors.push_back({parameter.name, "F32", parameter.shape, bytes_of(values)});
  }
  if (checkpoint.mask) {
    const auto words = static_cast<std::int64_t>(checkpoint.mask->words().size());
    file.tensors.push_back({std::string(kMaskName), "U64", {words}, word_bytes(*checkpoint.mask)});
  }
  for (const auto& [name, values] : checkpoint.server_state) {
    file.tensors.push_back({std::string(kStatePrefix) + name,
                            "F32",
                            {static_cast<std::int64_t>(values.size())},
                            bytes_of(values)});
  }
  return write_safetensors(file);
}

Checkpoint checkpoint_from_bytes(std::span<const std::uint8_t> bytes, std::string_view what) {
  const TensorFile file = read_safetensors(bytes, what);
  try {
    Checkpoint checkpoint = assemble(file);
    const std::string hash = model_sha256(checkpoint);
    if (hash != metadata_of(file, "model_sha256")) {
      throw DataError("the model's SHA-256 is " + hash + ", the file says " +
                      metadata_of(file, "model_sha256").substr(0, 64));
    }
    return checkpoint;
  } catch (const Error&) {
    std::throw_with_nested(DataError(text(what, ": damaged checkpoint")));
  }
}

std::vector<float> weights_for(const Graph& graph, std::span<const std::uint8_t> bytes,
                               std::string_view what) {
  const TensorFile file = read_safetensors(bytes, what);
  std::vector<float> out;
  for (const ParameterSpec& parameter : graph.parameters()) {
    const TensorBytes* tensor = file.find(parameter.name);
    if (tensor == nullptr)
      throw DataError(text(what, ": expected a tensor '", parameter.name, "', there is none"));
    if (tensor->shape != parameter.shape) {
      throw DataError(text(what, ": tensor '", parameter.name, "': expected shape ",
                           shape_text(parameter.shape), ", got ", shape_text(tensor->shape)));
    }
    const std::vector<float> values = floats_of(*tensor, what);
    out.insert(out.end(), values.begin(), values.end());
  }
  for (const TensorBytes& tensor : file.tensors) {
    const bool is_ours = tensor.name == kMaskName || tensor.name.starts_with(kStatePrefix);
    if (!is_ours && graph.parameter_named(tensor.name) < 0) {
      throw DataError(
          text(what, ": tensor '", tensor.name.substr(0, 64), "' is no parameter of the model"));
    }
  }
  return out;
}

}  // namespace coppice
