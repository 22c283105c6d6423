#pragma once
// What a coordinator sends a device with a task: the model to start from, and with it what the
// device has not been given yet. Byte layout: docs/wire.md. Pure functions; any thread.

#include <cstdint>      // for uint8_t
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

// What a device must know of a run before its first task. Paths in the config are the
// coordinator's; a device opens none of them.
struct EdgeSetup {
  std::string config = {};    // resolved, as in config.resolved.yaml
  std::string version = {};   // of Coppice: another one may do other things
  std::string executor = {};  // what the whole run trains with
  std::string isa = {};       // of the coordinator's: another one's last bits differ
  // Of all clients' samples and who owns them; empty: each device has data of its own.
  std::string data_sha256 = {};
  // What a device's own samples must be like: sample_format(), label_names (a line each), classes
  // and vocabulary of data/dataset.h.
  std::string sample_format = {};
  std::string label_names = {};
  std::int64_t classes = 0;
  std::int64_t vocabulary = 0;

  friend bool operator==(const EdgeSetup&, const EdgeSetup&) = default;
};

struct EdgeStep {
  std::optional<EdgeSetup> setup = {};         // nothing: as before
  std::vector<std::uint8_t> model_frame = {};  // of comm/messages.h; empty: `changes` say it
  std::int64_t model_bytes = 0;                // of it, that the client is counted as receiving
  // Frames of comm/model_delta.h, one after the other, that make the model of an earlier step this
  // one; the model is numbered by how many there were since it was last sent whole. -1: no changes
  // to this model will follow.
  std::vector<std::vector<std::uint8_t>> changes = {};
  std::int64_t model_number = -1;
  std::vector<std::uint8_t> teacher_frame = {};    // who is learned from; empty: as before
  std::vector<std::uint8_t> reference_frame = {};  // of a gate; empty: as before

  friend bool operator==(const EdgeStep&, const EdgeStep&) = default;
};

std::vector<std::uint8_t> encode_edge_step(const EdgeStep& step);
// Throws WireError for bytes that encode_edge_step() did not make.
EdgeStep decode_edge_step(std::span<const std::uint8_t> frame);

// Why a device declines a task that counts on something it was not given by this process, or has
// lost since: it is asked again with all of it.
inline constexpr std::string_view kNeedsAll = "needs what came with earlier tasks";

// The node that is client `client` of a run's partition: "client-7".
std::string node_of_client(std::int64_t client);
std::optional<std::int64_t> client_of_node(std::string_view node);  // nothing for other names

}  // namespace coppice
