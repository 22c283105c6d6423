// The reference of all keys, and that the committed docs/config.md is the one that the schema
// gives.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "core/config/config.h"

namespace coppice {
namespace {

constexpr const char* kPage = COPPICE_SOURCE_DIR "/docs/config.md";

TEST(ConfigReferenceTest, TextNamesEveryKeyWithItsDefault) {
  const std::string reference = reference_text();
  EXPECT_NE(reference.find("train.optimizer.lr"), std::string::npos);
  EXPECT_NE(reference.find("number above 0, at most 1000; default 0.01"), std::string::npos)
      << reference;
  EXPECT_NE(reference.find("compress.constraints.max_latency_p99"), std::string::npos);
}

TEST(ConfigReferenceTest, CommittedPageIsUpToDate) {
  if (std::getenv("COPPICE_UPDATE_DOCS") != nullptr) std::ofstream(kPage) << reference_markdown();
  std::ostringstream page;
  page << std::ifstream(kPage).rdbuf();
  EXPECT_TRUE(page.str() == reference_markdown())
      << "docs/config.md is out of date; regenerate it with:\n"
         "  COPPICE_UPDATE_DOCS=1 ctest --test-dir " COPPICE_BINARY_DIR " -R ConfigReference";
}

}  // namespace
}  // namespace coppice
