#include "deploy/measurement.h"

#include <string>  // for string

#include "core/json.h"
#include "data/child_output.h"

namespace coppice {

Measurement measure(const std::filesystem::path& program, const std::filesystem::path& cpk,
                    std::int64_t runs) {
  const std::string line =
      child_output({program.string(), cpk.string(), std::to_string(runs)}, 4096);
  const Json json = Json::parse(line, program.string());
  return {.runs = json.at("runs").as_integer(),
          .core = json.at("core").as_integer(),
          .p50_us = json.at("p50_us").as_number(),
          .p99_us = json.at("p99_us").as_number(),
          .p999_us = json.at("p999_us").as_number(),
          .activation_bytes = json.at("activation_bytes").as_integer(),
          .process_bytes = json.at("process_bytes").as_integer()};
}

}  // namespace coppice
