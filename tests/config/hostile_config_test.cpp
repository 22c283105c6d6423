// Damaged configs give a config or a ConfigError: no other exception, no crash, no hang.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/config/yaml_tree.h"
#include "core/error.h"
#include "core/random.h"

namespace coppice {
namespace {

std::vector<std::string> samples() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(COPPICE_SOURCE_DIR "/configs")) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  texts.reserve(paths.size());
  for (const auto& path : paths) texts.push_back(read_yaml_file(path));
  return texts;
}

// Whether `yaml` is read or refused as it should be. Another exception fails the test.
void expect_config_or_config_error(const std::string& yaml) {
  try {
    const ExperimentConfig config = parse_config(yaml, "x.yaml");
    EXPECT_EQ(parse_config(resolved_yaml(config), "resolved"), config) << yaml;
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()).find("x.yaml"), 0U) << error.what();
  } catch (const std::exception& error) {
    FAIL() << "not a ConfigError: " << error.what() << "\n" << yaml;
  }
}

TEST(HostileConfigTest, ChangedBytesAreReadOrRefused) {
  constexpr std::string_view kInteresting = "{}[]:,-?&*!|>'\"%@`#\n \t0~.<=\\";
  for (const std::string& sample : samples()) {
    RandomStream random({.seed = sample.size()});
    for (int trial = 0; trial < 300; ++trial) {
      std::string changed = sample;
      for (std::uint64_t edits = 1 + random.next_below(4); edits > 0; --edits) {
        char& byte = changed[random.next_below(changed.size())];
        byte = random.next_below(2) == 0 ? static_cast<char>(random.next_below(256))
                                         : kInteresting[random.next_below(kInteresting.size())];
      }
      expect_config_or_config_error(changed);
    }
  }
}

TEST(HostileConfigTest, TruncatedFilesAreReadOrRefused) {
  for (const std::string& sample : samples()) {
    for (std::size_t size = 0; size < sample.size(); size += 5)
      expect_config_or_config_error(sample.substr(0, size));
  }
}

TEST(HostileConfigTest, SplicedPiecesAreReadOrRefused) {
  const std::vector<std::string> texts = samples();
  RandomStream random({.seed = 7});
  for (int trial = 0; trial < 2000; ++trial) {
    std::string spliced;
    for (int piece = 0; piece < 3; ++piece) {
      const std::string& from = texts[random.next_below(texts.size())];
      const std::size_t begin = random.next_below(from.size());
      spliced += from.substr(begin, random.next_below(200));
    }
    expect_config_or_config_error(spliced);
  }
}

}  // namespace
}  // namespace coppice
