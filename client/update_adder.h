#pragma once
// The end of a client's round: its update is gated, encoded, decoded and added to the rank's sum,
// exactly as if it had travelled. Where what arrives is known without a frame, none is made; the
// sum's bits and the counted bytes are the same. Several clients at once are added faster: the sum
// goes through memory once for all of them. Buffers are reused from client to client. Owned and
// called by one thread.

#include <cstdint>  // for uint64_t
#include <memory>   // for unique_ptr
#include <span>     // for span
#include <vector>   // for vector

#include "algorithms/update_sum.h"
#include "comm/codec.h"
#include "core/exact_sum.h"
#include "core/task.h"

namespace coppice {

// A client whose training is done.
struct TrainedClient {
  ClientRow row;
  std::span<const float> parameters;
  // With error feedback what the client has left out so far, as many values as parameters; an
  // accepted update leaves there what it leaves out. Empty: without.
  std::span<float> residual = {};
  // Where the frame of an accepted update is kept; null: nobody wants it.
  std::vector<std::uint8_t>* frame = nullptr;
};

class UpdateAdder {
 public:
  // `task` must outlive this; `seed` is the run's, for codecs that round at random. Throws
  // ConfigError for an unknown codec.
  UpdateAdder(const ClientTask& task, std::uint64_t seed);

  // Adds row.weight * (parameters - global), as it arrives, of every client to `sum`. Fills in the
  // rows' norms, reasons and encoded bytes; one with a reason left nothing in the sum. Throws as
  // ExactSum::add() does.
  void add(std::span<TrainedClient> clients, std::span<const float> global, ExactSum& sum);

  // How many clients of models of this size had better be added at once: 1 where the sum stays in
  // a cache from one to the next.
  static std::int64_t clients_at_once(std::int64_t parameters);

 private:
  void add_as_sent(std::span<TrainedClient> clients, std::span<const float> global,
                   std::size_t frame_bytes, ExactSum& sum);
  RefusalReason add_decoded(TrainedClient& client, std::span<const float> global, ExactSum& sum);
  std::size_t as_it_arrives(TrainedClient& client);
  const Codec& codec_of(std::int64_t client);

  const ClientTask& task_;
  std::uint64_t seed_;
  std::unique_ptr<Codec> codec_;  // of the client before, if clients have options of their own
  std::vector<WeightedModel> models_;
  std::vector<float> update_;
  std::vector<float> wanted_;  // with what was left out before
  std::vector<std::uint8_t> frame_;
};

}  // namespace coppice
