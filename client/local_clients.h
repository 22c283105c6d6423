#pragma once
// The clients that one rank hosts. Each in turn is trained from the global model on its own data,
// its update is gated, encoded and decoded exactly as a real client's would be, and added to the
// rank's exact sums; or its activations are counted instead. One resident executor serves them all,
// so memory does not grow with their number. Owned and called by one thread.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <memory>      // for unique_ptr
#include <optional>    // for optional
#include <span>        // for span
#include <string>      // for string
#include <utility>     // for move
#include <vector>      // for vector

#include "client/local_teacher.h"
#include "client/outcomes.h"
#include "comm/client_answer.h"
#include "core/aligned_buffer.h"
#include "core/coupling.h"
#include "core/graph.h"
#include "core/task.h"
#include "data/dataset.h"
#include "data/partition.h"
#include "models/executor.h"

namespace coppice {

class LocalClients {
 public:
  // `dataset` and `partition` must outlive this.
  LocalClients(const Dataset& dataset, const Partition& partition, std::string executor_name,
               std::uint64_t seed);
  ~LocalClients();

  // Makes `graph` the model that is trained and evaluated; rebuilds the executor only if it is
  // another graph.
  void set_graph(const Graph& graph);
  Executor& executor() { return *executor_; }

  // Who tasks with a distillation term learn from, until the next call.
  void set_teacher(Graph graph, std::vector<float> parameters);

  // The dense model that tasks with a gate compare with, until the next call. Throws ConfigError if
  // it is not one of this data, KernelError if the executor cannot run it.
  void set_reference(Graph graph, std::vector<float> parameters);

  // What error feedback has kept of clients, for the next task that asks for it; a client that is
  // not among them has left nothing out.
  void set_residuals(std::vector<Residual> residuals) { residuals_ = std::move(residuals); }

  // From now on every client's answer is appended to `answers` as it would travel, beside being
  // added; null: no longer. It must outlive that.
  void keep_answers(std::vector<ClientAnswer>* answers) { answers_ = answers; }

  // Asks memory for what a client begins with: where its samples are listed, then, when that is
  // here, the list. Small clients wait for nothing else.
  void expect_soon(std::int64_t client) const {
    __builtin_prefetch(&partition_.clients[static_cast<std::size_t>(client)].train);
  }
  void expect_next(std::int64_t client) const {
    __builtin_prefetch(partition_.clients[static_cast<std::size_t>(client)].train.data());
  }

  // Does `task` with one client after another (ids, until there is none) from the model `global`:
  // training, or counting activations if it asks for a calibration, or making its table of
  // sensitivities, or comparing with the dense model. `bytes_down` is what one client's task and
  // model took. Throws ConfigError or KernelError for a task that cannot be run (unknown codec, a
  // plan the executor refuses, no teacher): that is no client's fault.
  using NextClient = std::function<std::optional<std::int64_t>()>;
  RankReport run(const ClientTask& task, const ModelView& global, const NextClient& next,
                 std::int64_t bytes_down);

  // What training as `task` says takes a client of `samples` samples, its teacher included;
  // nothing: the executor does not know. After the task was run, for the graph and the teacher are
  // its.
  std::optional<MemoryUse> memory(const ClientTask& task, const QuantPlan& quant,
                                  std::int64_t samples) const;

 private:
  RankReport train(const ClientTask& task, const ModelView& global, const NextClient& next,
                   std::int64_t bytes_down);
  RankReport calibrate(const ClientTask& task, const ModelView& global, const NextClient& next,
                       std::int64_t bytes_down);
  RankReport sense(const ClientTask& task, const ModelView& global, const NextClient& next,
                   std::int64_t bytes_down);
  RankReport compare(const ClientTask& task, const ModelView& global, const NextClient& next,
                     std::int64_t bytes_down);
  // A question's answer is one frame: adds it to `sum` as it arrives and makes `row` the client's.
  void take_answer(ClientRow row, const char* name, std::vector<std::uint8_t> frame,
                   std::span<const float> arrived, bool is_sound, RankReport& report,
                   NamedSums& sums);
  TrainResult train_one(const ClientTask& task, const ModelView& global, std::int64_t client,
                        const SampleSource& samples);
  // Of the client that owns the samples `owned` of the data set; valid until the next call.
  SampleSource source(std::span<const std::int64_t> owned);
  // Samples of the data set: those of `indices` into owned_. Valid until the next call.
  std::span<const std::int64_t> resolve(std::span<const std::int64_t> indices);

  const Dataset& dataset_;
  const Partition& partition_;
  std::string executor_name_;
  std::uint64_t seed_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<LocalTeacher> teacher_;
  std::unique_ptr<LocalReference> reference_;
  std::vector<Residual> residuals_;
  std::vector<ClientAnswer>* answers_ = nullptr;
  std::vector<AlignedBuffer> waiting_models_;  // trained, of the executor's graph
  std::span<const std::int64_t> owned_;
  std::vector<std::int64_t> resolved_;
};

}  // namespace coppice
