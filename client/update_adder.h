#pragma once
// The end of a client's round: its update is gated, encoded, decoded and added to the rank's sum,
// exactly as if it had travelled. Where what arrives is known without a frame, none is made; the
// sum's bits and the counted bytes are the same. Buffers are reused from client to client. Owned
// and called by one thread.

#include <cstdint>  // for uint64_t
#include <memory>   // for unique_ptr
#include <span>     // for span
#include <vector>   // for vector

#include "comm/codec.h"
#include "core/exact_sum.h"
#include "core/task.h"

namespace coppice {

class UpdateAdder {
 public:
  // `task` must outlive this; `seed` is the run's, for codecs that round at random. Throws
  // ConfigError for an unknown codec.
  UpdateAdder(const ClientTask& task, std::uint64_t seed);

  // Adds row.weight * (local - global), as it arrives, to `sum`. Fills in the row's norm, reason
  // and encoded bytes; with a reason the sum is as it was. Throws as ExactSum::add() does.
  void add(ClientRow& row, std::span<const float> global, std::span<const float> local,
           ExactSum& sum);

 private:
  RefusalReason add_as_sent(ClientRow& row, std::span<const float> global,
                            std::span<const float> local, std::size_t frame_bytes, ExactSum& sum);
  RefusalReason add_decoded(ClientRow& row, std::span<const float> global,
                            std::span<const float> local, ExactSum& sum);

  const ClientTask& task_;
  std::uint64_t seed_;
  std::unique_ptr<Codec> codec_;
  std::vector<float> update_;
  std::vector<std::uint8_t> frame_;
};

}  // namespace coppice
