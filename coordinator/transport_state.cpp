#include "coordinator/transport_state.h"

#include <algorithm>  // for sort
#include <charconv>   // for from_chars
#include <string>     // for string
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// No strategy has buffers of these names.
constexpr const char* kLevels = "coppice.levels";          // levels, unchanged, averages
constexpr const char* kResidual = "coppice.residual.";     // and the client: round, values
constexpr const char* kModel = "coppice.broadcast";        // parameters
constexpr const char* kMask = "coppice.broadcast_mask";    // a 1 or 0 each
constexpr const char* kBytes = "coppice.broadcast_bytes";  // two floats each
constexpr const char* kHeld = "coppice.broadcast_held";

constexpr std::int64_t kWholeFloats = std::int64_t{1} << 24;  // below it a float has every integer

std::vector<float> take_buffer(NamedBuffers& buffers, const char* name) {
  const auto node = buffers.extract(name);
  return node.empty() ? std::vector<float>() : std::move(node.mapped());
}

void write_broadcast(const Broadcast& broadcast, NamedBuffers& buffers) {
  if (broadcast.held.empty()) return;
  buffers[kModel] = broadcast.model.parameters;
  const Mask& mask = broadcast.model.mask;
  if (mask.size() > 0) {
    std::vector<float>& bits = buffers[kMask];
    for (std::int64_t i = 0; i < mask.size(); ++i) bits.push_back(mask.keeps(i) ? 1.0F : 0.0F);
  }
  std::vector<float>& bytes = buffers[kBytes];
  for (const std::int64_t count : broadcast.delta_bytes) {
    const std::int64_t whole = count / kWholeFloats;
    bytes.push_back(static_cast<float>(whole));
    bytes.push_back(static_cast<float>(count % kWholeFloats));
  }
  std::vector<float>& held = buffers[kHeld];
  for (const std::int64_t count : broadcast.held) held.push_back(static_cast<float>(count));
}

Broadcast take_broadcast(NamedBuffers& buffers) {
  Broadcast out;
  out.model.parameters = take_buffer(buffers, kModel);
  const std::vector<float> mask = take_buffer(buffers, kMask);
  if (!mask.empty()) out.model.mask = Mask(std::ssize(mask), false);
  for (std::size_t i = 0; i < mask.size(); ++i)
    out.model.mask.set(static_cast<std::int64_t>(i), mask[i] != 0.0F);
  const std::vector<float> bytes = take_buffer(buffers, kBytes);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    out.delta_bytes.push_back(static_cast<std::int64_t>(bytes[i]) * kWholeFloats +
                              static_cast<std::int64_t>(bytes[i + 1]));
  }
  for (const float count : take_buffer(buffers, kHeld))
    out.held.push_back(static_cast<std::int64_t>(count));
  return out;
}

std::int64_t client_of(std::string_view name) {
  const std::string_view digits = name.substr(std::string_view(kResidual).size());
  std::int64_t client = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), client);
  if (error != std::errc() || end != digits.data() + digits.size() || client < 0)
    throw DataError(text("checkpoint: buffer '", name, "' names no client"));
  return client;
}

std::vector<Residual> take_residuals(NamedBuffers& buffers) {
  std::vector<Residual> out;
  const auto is_residual = [](const auto& buffer) { return buffer.first.starts_with(kResidual); };
  for (const auto& [name, values] : buffers) {
    if (!name.starts_with(kResidual)) continue;
    if (values.empty()) throw DataError(text("checkpoint: buffer '", name, "' is empty"));
    out.push_back({.client = client_of(name),
                   .round = static_cast<std::int64_t>(values.front()),
                   .values = std::vector<float>(values.begin() + 1, values.end())});
  }
  std::erase_if(buffers, is_residual);
  std::ranges::sort(out, {}, &Residual::client);
  return out;
}

}  // namespace

void shrink_transport(TransportState& transport, const IndexMap& map) {
  for (Residual& residual : transport.residuals) residual.values = map.gather(residual.values);
  transport.broadcast = {};
}

void write_transport(const TransportState& transport, NamedBuffers& buffers) {
  if (transport.levels.levels > 0) {
    std::vector<float>& levels = buffers[kLevels];
    levels = {static_cast<float>(transport.levels.levels),
              static_cast<float>(transport.levels.unchanged)};
    levels.insert(levels.end(), transport.levels.averages.begin(), transport.levels.averages.end());
  }
  for (const Residual& residual : transport.residuals) {
    std::vector<float>& values = buffers[text(kResidual, residual.client)];
    values = {static_cast<float>(residual.round)};
    values.insert(values.end(), residual.values.begin(), residual.values.end());
  }
  write_broadcast(transport.broadcast, buffers);
}

TransportState take_transport(NamedBuffers& buffers) {
  TransportState out;
  const std::vector<float> levels = take_buffer(buffers, kLevels);
  if (levels.size() >= 2) {
    out.levels.levels = static_cast<std::int64_t>(levels[0]);
    out.levels.unchanged = static_cast<std::int64_t>(levels[1]);
    out.levels.averages.assign(levels.begin() + 2, levels.end());
  }
  out.residuals = take_residuals(buffers);
  out.broadcast = take_broadcast(buffers);
  return out;
}

}  // namespace coppice
