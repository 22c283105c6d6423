#include "launch/ranks.h"

#include <fmt/core.h>

#include <charconv>     // for from_chars
#include <cstdlib>      // for getenv
#include <exception>    // for exception_ptr
#include <string>       // for string
#include <string_view>  // for string_view

#include "core/config/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/federation.h"

namespace coppice {
namespace {

constexpr int kRoot = 0;
constexpr std::string_view kConfigMark = "config:";
constexpr const char* kForcedNodes = "COPPICE_FORCED_NODES";

// How ranks add up is settled before there is a config, and no result depends on it: hence the
// environment. Tests let the ranks of one machine act as if they sat on several.
ReduceOptions reduce_options() {
  ReduceOptions options;
  const char* value = std::getenv(kForcedNodes);
  if (value == nullptr) return options;
  const std::string_view all = value;
  const auto [stop, error] =
      std::from_chars(all.data(), all.data() + all.size(), options.forced_nodes);
  if (error != std::errc{} || stop != all.data() + all.size() || options.forced_nodes < 1) {
    throw ConfigError(
        text(kForcedNodes, ": expected a number of nodes of at least 1, got '", all, "'"));
  }
  return options;
}

}  // namespace

int with_ranks(int threads, const ProcessArguments& process,
               const std::function<int(Communicator&)>& body) {
  if (threads > 0) {
    int result = 0;
    run_local(threads, [&](Communicator& communicator) {
      const int code = body(communicator);
      if (communicator.rank() == kRoot) result = code;
    });
    return result;
  }
  int result = 0;
  std::exception_ptr failure;
  {
    const auto communicator = make_mpi_communicator(process.argc, process.argv, reduce_options());
    try {
      result = body(*communicator);
    } catch (const BrokenStep& error) {
      if (communicator->size() > 1) {
        fmt::print(stderr, "coppice: rank {}: {}\n", communicator->rank(), describe(error));
        std::fflush(stderr);
        communicator->abort(exit_code(error));
      }
      failure = std::current_exception();
    } catch (...) {  // the other ranks were told: MPI ends in order before the error goes on
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  return result;
}

SharedConfig shared_config(Communicator& communicator,
                           const std::function<ExperimentConfig()>& load) {
  std::vector<std::uint8_t> bytes;
  const auto broadcast_text = [&](const std::string& message) {
    const auto view = bytes_of(std::string_view(message));
    bytes.assign(view.begin(), view.end());
    communicator.broadcast(bytes, kRoot);
  };
  if (communicator.rank() == kRoot) {
    try {
      ExperimentConfig config = load();
      broadcast_text(std::string(kConfigMark) + resolved_yaml(config));
      return {std::move(config), 0};
    } catch (const std::exception& error) {
      broadcast_text(std::to_string(exit_code(error)));
      throw;
    }
  }
  communicator.broadcast(bytes, kRoot);
  const std::string message(bytes.begin(), bytes.end());
  if (!message.starts_with(kConfigMark)) return {std::nullopt, std::stoi(message)};
  return {parse_config(message.substr(kConfigMark.size()), "config of rank 0"), 0};
}

}  // namespace coppice
