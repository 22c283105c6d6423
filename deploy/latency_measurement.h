#pragma once
// Measures a latency table on this machine, and whole networks against it. One thread; nothing else
// should run beside it.

#include <span>    // for span
#include <vector>  // for vector

#include "deploy/latency_table.h"
#include "deploy/runtime/program.h"
#include "deploy/steady_speed.h"

namespace coppice {

struct LatencyEffort {
  int passes = 5;  // over all candidates of all layers
  int runs = 5;    // of a candidate in a pass
};

// Every layer of `forms`: the forms that one network may be deployed in (of integers, of fp32),
// with the same nodes at their full width. Out channels go in steps of 8, or more where that gives
// over 32 of them; in channels are 1, 4, a quarter, half and all; products of integers are taken at
// 8 and 4 bits, with dense weights and with 1, 1/2, 1/4 and 1/8 of their blocks. Each is run by
// the engine with its input just written and its weights where the rest of the network leaves
// them: before each run as many bytes are read as the network's weights have, up to 128 KiB.
// cpu and version are the caller's to fill in. Throws ConfigError for a network that the engine
// does not run, as timed_nodes().
LatencyTable measure_latency_table(std::span<const runtime::Program> forms,
                                   const SteadySpeed& speed, const LatencyEffort& effort = {});

// Microseconds of one sample of each of `programs`, warm: medians. They are measured in turn, a few
// runs each, `passes` times.
std::vector<double> measure_whole(std::span<const runtime::Program> programs,
                                  const SteadySpeed& speed, int passes = 40);

}  // namespace coppice
