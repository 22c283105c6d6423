#include "comm/netproxy/net_proxy.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>  // for move

#include "comm/netproxy/proxied_connection.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice::netproxy {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptPause{100};  // without descriptors or memory

tcp::resolver::results_type resolve(boost::asio::io_context& io, const NetProxyOptions& options) {
  error_code error;
  tcp::resolver resolver(io);
  auto found = resolver.resolve(options.to_host, text(options.to_port), error);
  if (error)
    throw ConfigError(text("netproxy: expected a host to connect to, got '", options.to_host,
                           "': ", error.message()));
  return found;
}

}  // namespace

struct NetProxy::State {
  State(const NetProxyOptions& the_options, const Scenario& scenario);
  void accept();
  void accepted(const error_code& error, tcp::socket socket);

  NetProxyOptions options;
  boost::asio::io_context io{1};
  Network network;  // before what refers to it
  tcp::acceptor acceptor{io};
  boost::asio::steady_timer pause{io};
  std::int64_t open = 0;
  bool is_accepting = false;
};

NetProxy::State::State(const NetProxyOptions& the_options, const Scenario& scenario)
    : options(the_options),
      network{.scenario = scenario,
              .seed = options.seed,
              .start = {},
              .to = resolve(io, options),
              .counters = {}} {
  if (options.max_connections < 1)
    throw ConfigError(
        text("netproxy: expected room for a connection, got ", options.max_connections));
  try {
    const tcp::endpoint endpoint(boost::asio::ip::make_address(options.address), options.port);
    acceptor.open(endpoint.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(endpoint);
    acceptor.listen();
  } catch (const boost::system::system_error& error) {
    throw ConfigError(text("netproxy: expected an address to listen on, got ", options.address,
                           " port ", options.port, ": ", error.code().message()));
  }
}

void NetProxy::State::accept() {
  if (is_accepting || open >= options.max_connections) return;
  is_accepting = true;
  acceptor.async_accept([this](const error_code& error, tcp::socket socket) {
    is_accepting = false;
    accepted(error, std::move(socket));
  });
}

void NetProxy::State::accepted(const error_code& error, tcp::socket socket) {
  if (error) {
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](const error_code&) { accept(); });
    return;
  }
  ++open;
  std::make_shared<ProxiedConnection>(std::move(socket), network, network.counters.connections++)
      ->start([this] {
        --open;
        accept();
      });
  accept();
}

NetProxy::NetProxy(const NetProxyOptions& options, const Scenario& scenario)
    : state_(std::make_unique<State>(options, scenario)) {}

NetProxy::~NetProxy() = default;

std::uint16_t NetProxy::port() const { return state_->acceptor.local_endpoint().port(); }

void NetProxy::run() {
  state_->network.start = std::chrono::steady_clock::now();
  state_->accept();
  state_->io.run();
}

void NetProxy::stop() { state_->io.stop(); }

const NetProxyCounters& NetProxy::counters() const { return state_->network.counters; }

std::string counters_text(const NetProxyCounters& counters) {
  const LinkCounters& up = counters.up;
  const LinkCounters& down = counters.down;
  return text(counters.connections, " connections (", counters.refused, " refused), ", up.bytes,
              " bytes up, ", down.bytes, " down (", up.extra_bytes + down.extra_bytes,
              " more on the link); of ", up.segments + down.segments, " segments ",
              up.delayed + down.delayed, " delayed, ", up.lost + down.lost, " lost, ",
              up.duplicated + down.duplicated, " duplicated, ", up.reordered + down.reordered,
              " reordered, ", up.stalled + down.stalled, " stalled, ", up.flipped + down.flipped,
              " flipped; connections: ", counters.truncated, " truncated, ", counters.cut, " cut");
}

}  // namespace coppice::netproxy
