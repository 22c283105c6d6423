#pragma once
// Devices of a run without a network.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>

#include "client/edge_worker.h"
#include "comm/transport.h"
#include "core/error.h"
#include "launch/device/edge_world.h"

namespace coppice {

// Devices in this process that answer in an order drawn from a seed.
class ScriptedTransport final : public Transport {
 public:
  using Change = std::function<void(ScriptedTransport&, NodeEvent&)>;

  ScriptedTransport(const std::string& root, std::uint64_t seed)
      : ScriptedTransport([root](std::int64_t) { return DeviceData{root}; }, seed) {}
  // `data` is where that of a client is.
  ScriptedTransport(std::function<DeviceData(std::int64_t client)> data, std::uint64_t seed)
      : data_(std::move(data)), order_(seed) {}

  void open(std::int64_t step, std::vector<NodeQuestion> questions) override {
    EXPECT_GT(step, last_step_);
    last_step_ = step;
    if (opened) opened(*this, opens_++);
    std::ranges::shuffle(questions, order_);
    for (NodeQuestion& question : questions) {
      come_or_go(question.node);
      EXPECT_FALSE(question.task.empty());  // which no network takes
      std::erase_if(waiting_,
                    [&](const Asked& asked) { return asked.question.node == question.node; });
      waiting_.push_back({step, std::move(question)});
    }
  }
  std::optional<NodeEvent> next(std::chrono::milliseconds) override {
    if (!comings_.empty()) {
      NodeEvent event = std::move(comings_.front());
      comings_.pop_front();
      return event;
    }
    std::erase_if(waiting_, [this](const Asked& asked) {
      return silent.contains(client_of_node(asked.question.node).value());
    });
    const auto first = std::ranges::find_if(waiting_, [this](const Asked& asked) {
      return asked.step < last_step_ || !slow.contains(client_of_node(asked.question.node).value());
    });
    const bool may_be_waited_for = !(silent.empty() && slow.empty()) && ++idle_ < 1000;
    if (first == waiting_.end() && may_be_waited_for) return std::nullopt;
    if (first == waiting_.end()) {
      ADD_FAILURE() << "step " << last_step_ << ": an answer is waited for, and all are in";
      throw Error("stuck");
    }
    idle_ = 0;
    const auto [step, question] = *first;
    waiting_.erase(first);
    const std::int64_t client = client_of_node(question.node).value();
    if (restarts && ++asked_ % 7 == 0) devices_.erase(client);
    model_bytes += question.model->size();
    EdgeWorker::Reply reply = device(client).handle(question.task, *question.model);
    NodeEvent event{.kind = NodeEventKind::kAnswered, .node = question.node, .step = step};
    if (!reply.declined.empty()) {
      event.kind = NodeEventKind::kDeclined;
      event.reason = std::move(reply.declined);
      ++declined;
    }
    event.answer = std::move(reply.answer);
    if (change) change(*this, event);
    return event;
  }
  void accept(const std::string&) override { ++accepted; }
  void refuse(const std::string&, const std::string& reason) override {
    refusals.push_back(reason);
  }
  void ask_again(NodeQuestion question) override {
    waiting_.push_back({last_step_, std::move(question)});
  }
  void close(const std::set<std::string>& standing) override {
    for (const Asked& asked : waiting_)
      EXPECT_TRUE(slow.contains(client_of_node(asked.question.node).value()));
    std::erase_if(waiting_,
                  [&](const Asked& asked) { return !standing.contains(asked.question.node); });
  }
  void finish() override { is_finished = true; }

  EdgeWorker& device(std::int64_t client) {
    const auto open = [=, this](const EdgeSetup& setup) {
      return open_edge_world(setup, data_(client), client);
    };
    return devices_.try_emplace(client, client, open).first->second;
  }

  bool restarts = false;
  std::set<std::int64_t> silent;  // clients that are not connected and never answer
  std::set<std::int64_t> slow;    // clients that answer when the step after theirs is open
  bool is_finished = false;
  Change change;
  std::function<void(ScriptedTransport&, int step)> opened;  // before the step-th is, from 0
  std::size_t model_bytes = 0;                               // of what was sent beside tasks
  int accepted = 0;
  int declined = 0;
  std::vector<std::string> refusals;

 private:
  struct Asked {
    std::int64_t step = 0;
    NodeQuestion question;
  };

  void come_or_go(const std::string& node) {
    if (!silent.contains(client_of_node(node).value())) {
      if (connected_.insert(node).second) comings_.push_back({.node = node});
    } else if (connected_.erase(node) > 0) {
      comings_.push_back({.kind = NodeEventKind::kLeft, .node = node, .reason = "silent"});
    }
  }

  std::function<DeviceData(std::int64_t)> data_;
  std::mt19937_64 order_;
  std::int64_t last_step_ = -1;
  int opens_ = 0;
  int idle_ = 0;  // times that nobody had anything to say, one after the other
  int asked_ = 0;
  std::deque<Asked> waiting_;
  std::deque<NodeEvent> comings_;  // and goings
  std::set<std::string> connected_;
  std::map<std::int64_t, EdgeWorker> devices_;
};

// Lends a transport that the test keeps.
class Lent final : public Transport {
 public:
  explicit Lent(Transport& owned) : owned_(owned) {}
  void open(std::int64_t step, std::vector<NodeQuestion> questions) override {
    owned_.open(step, std::move(questions));
  }
  std::optional<NodeEvent> next(std::chrono::milliseconds timeout) override {
    return owned_.next(timeout);
  }
  void accept(const std::string& node) override { owned_.accept(node); }
  void refuse(const std::string& node, const std::string& reason) override {
    owned_.refuse(node, reason);
  }
  void ask_again(NodeQuestion question) override { owned_.ask_again(std::move(question)); }
  void close(const std::set<std::string>& standing) override { owned_.close(standing); }
  void finish() override { owned_.finish(); }

 private:
  Transport& owned_;
};

}  // namespace coppice
