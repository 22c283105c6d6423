#pragma once
// The deployment target: what the finished model must fit into, measured on the device. Absent
// means unconstrained.

#include <cstdint>   // for int64_t
#include <optional>  // for optional
#include <string>    // for string

namespace coppice {

struct Constraints {
  std::optional<std::int64_t> max_bytes;        // of the artefact file
  std::optional<double> max_latency_us;         // p50, batch 1
  std::optional<double> max_latency_p99_us;     // p99, batch 1
  std::optional<std::int64_t> max_peak_memory;  // bytes
  std::optional<double> min_retention;          // validation accuracy over the dense model's
  std::string device = "host";

  friend bool operator==(const Constraints&, const Constraints&) = default;
};

}  // namespace coppice
