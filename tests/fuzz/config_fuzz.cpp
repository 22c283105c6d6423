// libFuzzer target of the config reader; not part of the build. From the root of the checkout:
//   clang++ -std=c++20 -g -O1 -I. -fsanitize=fuzzer,address,undefined tests/fuzz/config_fuzz.cpp
//   core/config/*.cpp
//     core/*.cpp core/ops/*.cpp -lyaml-cpp -o /tmp/config_fuzz && /tmp/config_fuzz -max_len=4096
//     CORPUS configs

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/config/config.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  try {
    const std::string_view yaml(reinterpret_cast<const char*>(bytes), size);
    const coppice::ExperimentConfig config = coppice::parse_config(yaml, "fuzz");
    if (coppice::parse_config(coppice::resolved_yaml(config), "resolved") != config)
      __builtin_trap();
  } catch (const coppice::ConfigError&) {
  }
  return 0;
}
