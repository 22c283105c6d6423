#include "deploy/measurement.h"

#include <string>  // for string

#include "core/json.h"
#include "data/child_output.h"

namespace coppice {

namespace {

Percentiles percentiles_of(const Json& json, const std::string& name) {
  return {.p50_us = json.at(name + "p50_us").as_number(),
          .p99_us = json.at(name + "p99_us").as_number(),
          .p999_us = json.at(name + "p999_us").as_number()};
}

}  // namespace

Measurement measurement_from(std::string_view line, std::string_view where) {
  const Json json = Json::parse(line, where);
  return {.runs = json.at("runs").as_integer(),
          .threads = json.at("threads").as_integer(),
          .core = json.at("core").as_integer(),
          .latency = percentiles_of(json, ""),
          .spin = percentiles_of(json, "spin_"),
          .activation_bytes = json.at("activation_bytes").as_integer(),
          .process_bytes = json.at("process_bytes").as_integer()};
}

Measurement measure(const std::filesystem::path& program, const std::filesystem::path& cpk,
                    std::int64_t runs, std::int64_t threads) {
  return measurement_from(child_output({program.string(), cpk.string(), std::to_string(runs),
                                        "--threads", std::to_string(threads)},
                                       4096),
                          program.string());
}

}  // namespace coppice
