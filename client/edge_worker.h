#pragma once
// What a device does with the tasks it is given: the same as a rank does for the same client, with
// the data that the device has. Keeps between tasks what came with earlier ones; whoever starts it
// anew has lost that, and the coordinator sends it again.
//
// Owned and called by one thread.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <optional>    // for optional
#include <string>      // for string
#include <vector>      // for vector

#include "client/local_clients.h"
#include "client/received_step.h"
#include "comm/edge_step.h"
#include "core/experiment.h"
#include "data/dataset.h"
#include "data/partition.h"

namespace coppice {

// The data of a device, and which of it belongs to its client.
struct EdgeWorld {
  std::unique_ptr<const Dataset> dataset;
  Partition partition;
  std::uint64_t seed = 1;
  DownlinkConfig downlink = {};
};

class EdgeWorker {
 public:
  // `open_world` reads the device's data for a run; what it throws is why the device declines.
  EdgeWorker(std::int64_t client, std::function<EdgeWorld(const EdgeSetup&)> open_world)
      : client_(client), open_world_(std::move(open_world)) {}

  // An answer of comm/client_answer.h, or of comm/data_facts.h to its question, or why there is
  // none.
  struct Reply {
    std::vector<std::uint8_t> answer = {};
    std::string declined = {};  // empty: `answer` is one
  };

  // Does the task, or answers data_question(). Never throws for what came from the coordinator: it
  // declines.
  Reply handle(const std::vector<std::uint8_t>& task_frame,
               const std::vector<std::uint8_t>& step_frame);

 private:
  Reply answer(const std::vector<std::uint8_t>& task_frame, const EdgeStep& step);
  Reply facts(const EdgeStep& step);
  bool receive(const EdgeStep& step);
  void begin(const EdgeSetup& setup);

  std::int64_t client_;
  std::function<EdgeWorld(const EdgeSetup&)> open_world_;
  std::optional<EdgeSetup> setup_;
  EdgeWorld world_;
  std::unique_ptr<LocalClients> clients_;
  ReceivedModel model_;             // of the last task
  std::int64_t model_number_ = -1;  // its, for changes to it; -1: none can be
  bool has_teacher_ = false;
  bool has_reference_ = false;
};

}  // namespace coppice
