#include "core/node_id.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace coppice {
namespace {

TEST(NodeIdTest, NamesOfNodesAreSafeAsFilesAndInLogs) {
  for (const char* good : {"a", "7", "edge-1", "a.b_c-9"}) EXPECT_TRUE(is_node_id(good)) << good;
  EXPECT_TRUE(is_node_id(std::string(64, 'x')));
  for (const char* bad : {"", "-a", ".", "..", "_a", "A", "a/b", "a b", "a\n", "ä", "a:b", "a\\"})
    EXPECT_FALSE(is_node_id(bad)) << bad;
  EXPECT_FALSE(is_node_id(std::string(65, 'x')));
  EXPECT_FALSE(is_node_id(std::string("a\0b", 3)));
  EXPECT_THROW(check_node_id("../ca"), ConfigError);
}

}  // namespace
}  // namespace coppice
