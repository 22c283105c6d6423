#pragma once
// What tests of the gateway need: an authority with many nodes, devices in threads, a device that
// says what a test wants, and a relay that cuts lines.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <filesystem>
#include <future>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "comm/gateway/gateway.h"
#include "comm/gateway/node_link.h"
#include "comm/session/session.h"
#include "core/digest.h"

namespace coppice::gateway {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Bytes = std::vector<std::uint8_t>;
using Model = std::shared_ptr<const Bytes>;

inline constexpr session::RunId kRun{7, 7, 7};
inline constexpr std::int64_t kNow = 1'800'000'000;
inline constexpr seconds kPatience{20};

// Bytes that differ from place to place and from seed to seed.
Bytes some_bytes(std::size_t count, std::uint64_t seed);
Model some_model(std::size_t count, std::uint64_t seed = 1);
session::Sha256Digest digest_of(const Bytes& bytes);

// An authority in a folder of the test, and nodes called n0, n1, ... with their files.
class Fleet {
 public:
  explicit Fleet(int nodes);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  static std::string name(int node) { return "n" + std::to_string(node); }
  std::vector<std::string> names() const;
  tls::TlsFiles coordinator() const;
  tls::TlsFiles node(int node) const;
  void revoke(int node);
  GatewayOptions options() const;  // for a gateway that tests hurry
  NodeLinkOptions link(int node, std::uint16_t port) const;

 private:
  static void write(const std::filesystem::path& path, const std::string& content);
  void write_list(const std::set<std::string>& serials, std::int64_t number);

  std::filesystem::path folder_;
  int nodes_;
  tls::PrivateKey authority_key_;
  std::optional<tls::Certificate> authority_;
  std::vector<std::string> serials_;
};

// A gateway for the whole fleet, and events as tests want them.
class Coordinator {
 public:
  explicit Coordinator(const Fleet& fleet) : Coordinator(fleet, fleet.options()) {}
  Coordinator(const Fleet& fleet, const GatewayOptions& options)
      : names_(fleet.names()), gateway(options, kRun, names_) {}

  // Everyone is asked, with the same model.
  void open(std::int64_t round, const Model& model);
  void open_for(std::int64_t round, const std::vector<int>& nodes, const Model& model);

  // The next event of this type and node; others are kept for later calls.
  template <typename Event>
  Event await(const std::string& node, milliseconds patience = kPatience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (auto kept = kept_.begin();;) {
      for (; kept != kept_.end(); ++kept) {
        auto* event = std::get_if<Event>(&*kept);
        if (event == nullptr || event->node != node) continue;
        Event found = std::move(*event);
        kept_.erase(kept);
        return found;
      }
      auto event =
          gateway.next(std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now()));
      if (!event) {
        ADD_FAILURE() << "no such event of " << node;
        return {};
      }
      kept_.push_back(std::move(*event));
      kept = std::prev(kept_.end());
    }
  }
  // Waits for counters that are what the test wants.
  GatewayCounters until(const std::function<bool(const GatewayCounters&)>& is_right);

 private:
  std::vector<std::string> names_;
  std::list<GatewayEvent> kept_;

 public:
  Gateway gateway;
};

// A device in a thread of its own. Its update is its work's key, task and model in one.
class Device {
 public:
  Device(const NodeLinkOptions& options, std::function<NodeAnswer(const NodeWork&)> work);
  ~Device();

  NodeEnd end();  // waits for it
  NodeCounters counters() const { return link_.counters(); }
  void stop() { link_.stop(); }
  // What became of its answers so far.
  std::vector<session::AckStatus> settled() const;
  std::vector<std::string> reasons() const;

 private:
  NodeLink link_;
  mutable std::mutex mutex_;  // of the next two
  std::vector<session::AckStatus> settled_;
  std::vector<std::string> reasons_;
  std::future<NodeEnd> end_;
};

// A node that says what a test wants, and waits for what comes: one thread, a blocking socket.
class ScriptedNode {
 public:
  ScriptedNode(const Fleet& fleet, int node, std::uint16_t port);

  void enroll();  // hello, and the welcome
  void send(const session::Message& message);
  void send_raw(const Bytes& bytes);  // over TLS
  // The next message but heartbeats. Fails the test if it is none of this type.
  template <typename Type>
  Type receive() {
    const auto message = receive_any();
    if (message && std::holds_alternative<Type>(*message)) return std::get<Type>(*message);
    ADD_FAILURE() << "got " << (message ? session::name_of(session::type_of(*message)) : "the end");
    return {};
  }
  std::optional<session::Message> receive_any();  // nothing at the end of the stream
  session::Task take_task();                      // and its model
  void download(const session::Task& task);
  void offer(const session::Task& task, const Bytes& update);
  void upload(const Bytes& update, std::uint64_t from);
  void cut() { stream_.reset(); }

 private:
  boost::asio::io_context io_;
  tls::TlsContext tls_;
  using Stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;
  std::unique_ptr<Stream> stream_;
  session::Session session_;
  session::FrameParser parser_;
  Bytes buffer_;
  std::span<const std::uint8_t> rest_;
};

// A TCP socket without TLS.
class PlainPeer {
 public:
  explicit PlainPeer(std::uint16_t port);
  void send(const Bytes& bytes);
  bool is_closed_within(milliseconds patience);  // by the other end

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_{io_};
};

// Forwards connections to `target`, and cuts or holds them.
class Relay {
 public:
  explicit Relay(std::uint16_t target);
  ~Relay();

  std::uint16_t port() const { return port_; }
  // Every line is cut once so many bytes have gone this way over all lines so far; then no more.
  void cut_after_up(std::uint64_t bytes);
  void cut_after_down(std::uint64_t bytes);
  void cut_all();
  void hold();  // nothing is forwarded any more, and nothing closed
  int cuts() const { return cuts_; }

 private:
  struct Line;
  void accept();
  void forward(const std::shared_ptr<Line>& line, bool is_up);
  void cut_lines();

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t target_;
  std::uint16_t port_;
  std::list<std::weak_ptr<Line>> lines_;
  std::list<std::shared_ptr<Line>> held_;
  std::uint64_t left_[2] = {UINT64_MAX, UINT64_MAX};  // down, up
  bool is_held_ = false;
  std::atomic<int> cuts_{0};
  std::thread thread_;
};

}  // namespace coppice::gateway
