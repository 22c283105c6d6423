#include "launch/allotment_table.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

Json line(const char* text) { return Json::parse(text, "metrics"); }

TEST(AllotmentTableTest, ShowsTheLastChoiceLayerByLayer) {
  const std::vector<Json> metrics = {
      line(R"({"round":2,"allotment":{"file_bytes":9,"predicted_loss":1,"layers":[]}})"),
      line(R"({"round":3,"allotment":null})"),
      line(R"({"round":4,"allotment":{"file_bytes":8885,"predicted_loss":0.0123,"layers":[
        {"parameter":"conv1.weight","density":1,"block_density":1,"bits":8,"bytes":1234,
         "microseconds":1.5,"predicted_loss":0.25,"bound_by":[]},
        {"parameter":"fc.weight","density":1,"block_density":0.25,"bits":2,"bytes":7,
         "microseconds":null,"predicted_loss":null,"bound_by":["max_bytes","max_latency"]}]}})"),
      line(R"({"round":5,"allotment":null})")};
  EXPECT_EQ(
      allotment_table(last_allotment(metrics)),
      "chosen after round 4, as counted then: a file of 8,885 bytes, predicted loss 0.012\n"
      "weights                kept  bits  bytes   us  predicted loss  held back by\n"
      "conv1.weight           100%     8  1,234  1.5            0.25  nothing: no way loses less\n"
      "fc.weight     25% of blocks     2      7    -               -  max_bytes, max_latency\n");
}

TEST(AllotmentTableTest, RunsWithoutAChoiceOrOfOlderVersionsShowNothing) {
  EXPECT_EQ(allotment_table(last_allotment({})), "");
  EXPECT_EQ(allotment_table(last_allotment({line(R"({"round":1,"allotment":null})")})), "");
  EXPECT_EQ(allotment_table(last_allotment({line(R"({"round":1})")})), "");
  EXPECT_EQ(allotment_table(last_allotment({line(R"({"round":1,"allotment":{"bytes":3}})")})), "");
}

}  // namespace
}  // namespace coppice
