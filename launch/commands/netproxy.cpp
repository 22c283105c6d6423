// `coppice netproxy`: a bad network between devices and their coordinator.

#include <fmt/core.h>

#include "comm/netproxy/net_proxy.h"
#include "coordinator/durable_file.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/device/endpoint.h"
#include "launch/device/stop_on_signal.h"

namespace coppice {

int netproxy_command(const NetproxyArguments& arguments) {
  const Endpoint listen = endpoint_of(arguments.listen);
  const Endpoint to = endpoint_of(arguments.to);
  const netproxy::Scenario scenario = arguments.scenario.empty()
                                          ? netproxy::Scenario{}
                                          : netproxy::load_scenario(arguments.scenario);
  netproxy::NetProxy proxy({.address = listen.host,
                            .port = listen.port,
                            .to_host = to.host,
                            .to_port = to.port,
                            .seed = arguments.seed},
                           scenario);
  const StopOnSignal stop([&proxy] { proxy.stop(); });
  fmt::print("listens  {}:{} for {}\n", listen.host, proxy.port(), arguments.to);
  std::fflush(stdout);
  if (!arguments.port_file.empty())
    write_file_atomically(arguments.port_file, text(proxy.port(), "\n"));
  proxy.run();
  fmt::print("ends     {}\n", netproxy::counters_text(proxy.counters()));
  return 0;
}

}  // namespace coppice
