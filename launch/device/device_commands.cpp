#include "launch/device/device_commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>  // for find

#include "core/error.h"
#include "core/text.h"

namespace coppice {

CLI::App* DeviceCommands::add_edge(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("edge", "Take part in a run of `coppice serve` as a device");
  app->add_option("--connect", edge_.connect, "The coordinator's HOST:PORT")->required();
  app->add_option("--keys", edge_.keys,
                  "Folder with node.key, node.crt, ca.crt and revoked.crl (coppice pki)")
      ->required();
  app->add_option("--data", edge_.data, "Where this device's data is, as data.root");
  app->add_option(
      "--dataset", edge_.dataset,
      "With data.partition.scheme devices: what --data is, as data.name (default: as the run's)");
  app->add_option("--give-up", edge_.give_up_s,
                  "End after so many seconds without a coordinator (default never)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}));
  return app;
}

// A sub-command of `coppice pki`, which sets what it does and how long what it makes counts.
CLI::App* DeviceCommands::add_pki_action(CLI::App* pki, PkiAction action, const char* valid,
                                         const char* sentence) {
  const std::string name(pki_actions()[static_cast<std::size_t>(action)]);
  CLI::App* app = pki->add_subcommand(name, sentence);
  if (action != PkiAction::kRequest) {
    app->add_option("DIR", pki_.folder, "The authority's folder")->required();
  }
  if (*valid != '\0') {
    app->add_option("--valid", pki_valid_,
                    text("How long it counts, from now: 30m, 24h, 90d (default ", valid, ")"));
  }
  app->callback([this, action, valid] {
    pki_.action = action;
    pki_.valid = pki_valid_.empty() ? valid : pki_valid_;
  });
  return app;
}

CLI::App* DeviceCommands::add_pki(CLI::App& parent) {
  CLI::App* pki = parent.add_subcommand(
      "pki", "Keys, certificates and tokens of devices that take part over TLS");
  pki->require_subcommand(1);
  constexpr const char* kNode = "Name of the device: a-z, 0-9, '.', '_', '-'";
  constexpr const char* kKey = "p256 or ed25519";
  CLI::App* app = add_pki_action(pki, PkiAction::kInit, "3650d",
                                 "Make an authority and the coordinator's certificate");
  app->add_option("--key", pki_.key, kKey);
  app = add_pki_action(pki, PkiAction::kToken, "24h",
                       "Make a one-time token for a device's certificate, and show it once");
  app->add_option("--node", pki_.node, kNode)->required();
  app = add_pki_action(pki, PkiAction::kRequest, "",
                       "On the device: make a key, which stays, and a request to be sent");
  app->add_option("--node", pki_.node, kNode)->required();
  app->add_option("--out", pki_.out, "Folder for node.key and node.csr")->required();
  app->add_option("--key", pki_.key, kKey);
  app = add_pki_action(pki, PkiAction::kSign, "90d", "Sign a device's request, for its token");
  app->add_option("--request", pki_.request, "The device's node.csr")->required();
  app->add_option("--token", pki_.token,
                  "The token; @FILE reads it from a file of mode 600, unseen by other users")
      ->required();
  app->add_option("--out", pki_.out, "File for the certificate")->required();
  app = add_pki_action(pki, PkiAction::kRevoke, "",
                       "Take back all certificates and unused tokens of a device");
  app->add_option("--node", pki_.node, kNode)->required();
  app = add_pki_action(pki, PkiAction::kList, "", "Show certificates and tokens");
  app->add_flag("--json", pki_.is_json, "One line of JSON instead of tables");
  return pki;
}

void check_pki_action(const std::string& name) {
  const auto known = pki_actions();
  if (name.starts_with('-') || std::find(known.begin(), known.end(), name) != known.end()) return;
  throw ConfigError(unknown_name("pki command", name.substr(0, 64), known));
}

}  // namespace coppice
