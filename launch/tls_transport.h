#pragma once
// The Transport of a run whose devices come over TLS: a gateway, and what it says in the leader's
// words. Owned and called by rank 0's thread.

#include <cstdint>  // for uint16_t
#include <memory>   // for unique_ptr
#include <set>      // for set
#include <string>   // for string

#include "comm/gateway/gateway.h"
#include "comm/transport.h"
#include "core/experiment.h"
#include "launch/federation.h"

namespace coppice {

class TlsTransport final : public Transport {
 public:
  // Listens; as Gateway. `request` is the leader's.
  TlsTransport(gateway::GatewayOptions options, const NetworkRequest& request);
  // Says bye: the run is over if finish() was called, else that this end goes and may come back.
  ~TlsTransport() override;

  void open(std::int64_t step, std::vector<NodeQuestion> questions) override;
  std::optional<NodeEvent> next(std::chrono::milliseconds timeout) override;
  void accept(const std::string& node) override;
  void refuse(const std::string& node, const std::string& reason) override;
  void ask_again(NodeQuestion question) override;
  void close(const std::set<std::string>& standing) override;
  void finish() override { is_finished_ = true; }

  std::uint16_t port() const { return gateway_.port(); }

 private:
  gateway::Gateway gateway_;
  bool is_finished_ = false;
};

// Options of `config`'s network section for a gateway; address, port and files are the caller's.
gateway::GatewayOptions gateway_options(const NetworkConfig& config);

}  // namespace coppice
