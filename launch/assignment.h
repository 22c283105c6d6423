#pragma once
// Which node trains which client; the ranks of a node take turns at its list. Placement changes how
// long a round takes and nothing else. Owned and called by rank 0's thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

#include "core/task.h"

namespace coppice {

class Placement {
 public:
  // `samples[k]` is about how many samples client k passes in a round; `node_of_rank` as
  // Communicator says.
  Placement(std::vector<double> samples, std::vector<int> node_of_rank);

  // Longest processing time first (Graham 1969) on nodes of unequal speed: clients in descending
  // work, each to the node that would be done with it first; ties go to the lower client and the
  // lower node. The work of a client is what it took last; of one that was not trained yet, what
  // the others took for as many samples. One list a node, longest first.
  std::vector<std::vector<std::int64_t>> place(std::span<const std::int64_t> cohort);

  // What the round last placed took: a row a client, and the seconds each rank was at
  // work. A node that was slower than its clients' work made expect gets less from now on: machines
  // differ, and others may use them.
  void learn(std::span<const ClientRow> rows, std::span<const double> busy);

  std::span<const double> speeds() const { return speeds_; }  // of nodes, in ranks of mean speed

 private:
  double work_of(std::int64_t client) const;
  void set_work(std::int64_t client, double work);

  std::vector<double> samples_;
  std::vector<int> node_of_rank_;
  std::vector<double> work_;     // by client: seconds on a rank of mean speed; 0: not known yet
  std::vector<double> seconds_;  // by client: of its last row
  double known_work_ = 0.0;      // of all clients
  double known_samples_ = 0.0;
  std::vector<double> speeds_;
  std::vector<std::vector<std::int64_t>> placed_;
};

}  // namespace coppice
