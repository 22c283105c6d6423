#pragma once
// Measures a latency table on this machine, and whole networks against it. One thread; nothing else
// should run beside it.

#include <functional>  // for function
#include <span>        // for span
#include <vector>      // for vector

#include "deploy/latency_table.h"
#include "deploy/runtime/program.h"
#include "deploy/steady_speed.h"

namespace coppice {

struct LatencyEffort {
  int passes = 7;  // over all candidates of all layers
  int runs = 5;    // of a candidate in a pass
};

// Every layer of `forms`: the forms that one network may be deployed in (of integers, of fp32),
// with the same nodes at their full width. Out channels go in steps of 8, or more where that gives
// over 32 of them; in channels are 1, 4, a quarter, half and all; products of integers are taken at
// 8 and 4 bits, with dense weights and with 1, 1/2, 1/4 and 1/8 of their blocks. Each is run by
// the engine with its input just written and its weights where the rest of the network leaves
// them: before each run as many bytes are read as the network's weights have, up to 128 KiB.
// `after_pass`, if there is one, is called after each pass. cpu and version are the caller's to
// fill in. Throws ConfigError for a network that the engine
// does not run, as timed_nodes().
LatencyTable measure_latency_table(std::span<const runtime::Program> forms,
                                   const SteadySpeed& speed, const LatencyEffort& effort = {},
                                   const std::function<void()>& after_pass = {});

// Whole networks, warm, measured in turn, a few runs each. They are to be measured between the
// passes over a table that they are compared with: what slows down a core for seconds, and is not
// seen by SteadySpeed's loops, is then in both. One thread.
class WholeNetworks {
 public:
  // `speed` must outlive this.
  WholeNetworks(std::span<const runtime::Program> programs, const SteadySpeed& speed);
  ~WholeNetworks();
  WholeNetworks(const WholeNetworks&) = delete;
  WholeNetworks& operator=(const WholeNetworks&) = delete;

  void pass(int times);
  // Microseconds of one sample of each: medians. There was a pass.
  std::vector<double> microseconds();

 private:
  struct Network;

  const SteadySpeed& speed_;
  std::vector<Network> networks_;
};

}  // namespace coppice
