#include "launch/certificate.h"

#include <gtest/gtest.h>

#include "core/config/config.h"
#include "launch/ending_text.h"

namespace coppice {
namespace {

// Lines of metrics.jsonl, with the fields that an ending reads.
Json line(std::int64_t round, const char* rest) {
  return Json::parse(
      R"({"round":)" + std::to_string(round) + R"(,"phase":"allocate",)" + rest + "}", "line");
}

constexpr const char* kFirst =
    R"("validation_accuracy":0.9,"gate":null,"allotment":{"bytes":900,"fits":true,)"
    R"("predicted_loss":0.1,"gap":0.25,"file_bytes":1000,"reachable":[[400,2.0],[1200,0.01]]})";
constexpr const char* kPassedThenSecond =
    R"("validation_accuracy":0.8,"gate":{"both":80,"only_dense":10,"only_compressed":10,)"
    R"("neither":100,"retention":1.0,"lower_bound":0.96,"upper_bound":1.04,"passed":true,)"
    R"("progress":0.5,"file_bytes":990},"allotment":{"bytes":400,"fits":true,)"
    R"("predicted_loss":0.7,"gap":0.5,"file_bytes":500,"reachable":[[450,3.0],[800,0.5]]})";
constexpr const char* kFailed =
    R"("validation_accuracy":0.9,"gate":{"both":60,"only_dense":30,"only_compressed":0,)"
    R"("neither":110,"retention":0.67,"lower_bound":0.6,"upper_bound":0.7,"passed":false,)"
    R"("progress":1.0,"file_bytes":495},"allotment":null)";
constexpr const char* kCompared =
    R"("validation_accuracy":0.91,"gate":{"both":88,"only_dense":2,"only_compressed":3,)"
    R"("neither":107,"retention":1.01,"lower_bound":0.97,"upper_bound":1.06,"passed":true,)"
    R"("progress":null,"file_bytes":null},"allotment":null)";

std::vector<Json> metrics() {
  return {line(1, kFirst), line(3, kPassedThenSecond), line(5, kFailed), line(6, kCompared)};
}

ExperimentConfig gated() {
  ExperimentConfig config;
  config.seed = 7;
  config.compress.gate.recovery_rounds = 2;
  config.compress.constraints.max_bytes = 500;
  config.compress.constraints.min_retention = 0.95;
  return config;
}

Validation measured() {
  Validation validation;
  validation.file_bytes = 1010;
  validation.retention = 1.01;
  validation.model_sha256 = "m";
  validation.file_sha256 = "f";
  validation.measurement.runs = 10;
  validation.measurement.latency = {1.0, 2.0, 3.0};
  validation.measurement.process_bytes = 4096;
  return validation;
}

TEST(CertificateTest, SaysWhatIsKnownOfTheModelThatWasKept) {
  const Validation validation = measured();
  const std::vector<Verdict> verdicts{
      {.name = "min_retention", .limit = 0.95, .measured = 0.97, .is_met = true}};
  const Json certificate = certificate_json(gated(), metrics(), {verdicts, validation, 0.9});
  EXPECT_EQ(certificate.at("config_sha256").as_text(), config_sha256(gated()));
  EXPECT_EQ(certificate.at("seed").as_integer(), 7);
  EXPECT_EQ(certificate.at("file_bytes").as_integer(), 1010);
  EXPECT_EQ(certificate.at("latency_us").at("p99").as_number(), 2.0);
  EXPECT_EQ(certificate.at("peak_memory_bytes").as_integer(), 4096);
  EXPECT_EQ(certificate.at("gap").as_number(), 0.25);  // of the choice that passed
  const Json& retention = certificate.at("retention");
  EXPECT_EQ(retention.at("lower_bound").as_number(), 0.97);
  EXPECT_EQ(retention.at("confidence").as_number(), 0.95);
  EXPECT_EQ(retention.at("labels").as_integer(), 200);
  EXPECT_EQ(judged_retention(gated(), metrics()), 0.97);
  Json summary;
  summary.set("certificate", certificate);
  EXPECT_EQ(ending_text(summary),
            "\ncertified: retention 101.00% of 200 labels, at least 97.00% with confidence "
            "95.00%; the allocator's gap is 25.00%\n");
}

TEST(CertificateTest, IsNotGivenForLessThanEverything) {
  const Validation validation = measured();
  const std::vector<Verdict> verdicts{
      {.name = "max_bytes", .limit = 500, .measured = 1010, .is_met = false},
      {.name = "min_retention", .limit = 0.95, .measured = 0.97, .is_met = true}};
  EXPECT_TRUE(certificate_json(gated(), metrics(), {verdicts, validation, 0.9}).is_null());
  EXPECT_TRUE(certificate_json(gated(), metrics(), {{}, validation, 0.9}).is_null());
  EXPECT_TRUE(frontier_json(gated(), metrics(), {{}, validation, 0.9}).is_null());
}

TEST(CertificateTest, FrontierNamesWhatBindsAndWhatHeldItBack) {
  const Validation validation = measured();
  const std::vector<Verdict> verdicts{
      {.name = "max_bytes", .limit = 500, .measured = 1010, .is_met = false},
      {.name = "min_retention", .limit = 0.95, .measured = 0.97, .is_met = true}};
  const Json frontier = frontier_json(gated(), metrics(), {verdicts, validation, 0.9});
  const Json::Array& binding = frontier.at("binding").as_array();
  ASSERT_EQ(binding.size(), 2U);
  EXPECT_EQ(binding[0].at("constraint").as_text(), "max_bytes");
  EXPECT_EQ(binding[0].at("reached").as_number(), 1010);
  EXPECT_EQ(binding[1].at("constraint").as_text(), "min_retention");
  EXPECT_EQ(binding[1].at("reached").as_number(), 0.6);
  EXPECT_EQ(binding[1].at("file_bytes").as_integer(), 495);
  const Json::Array& predicted = frontier.at("predicted").as_array();
  ASSERT_EQ(predicted.size(), 2U);
  EXPECT_EQ(predicted[0].at("bytes").as_integer(), 450);  // of the last table
  EXPECT_EQ(predicted[0].at("predicted_loss").as_number(), 3.0);
  const Json::Array& points = frontier.at("measured").as_array();
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[0].at("round").as_integer(), 3);
  EXPECT_EQ(points[0].at("file_bytes").as_integer(), 1000);
  EXPECT_TRUE(points[0].at("passed").as_bool());
  EXPECT_EQ(points[1].at("retention").as_number(), 0.67);
  EXPECT_FALSE(points[1].at("passed").as_bool());
  EXPECT_EQ(points[2].at("round").as_integer(), 6);
  EXPECT_EQ(points[2].at("file_bytes").as_integer(), 1010);
  Json summary;
  summary.set("certificate", Json());
  summary.set("frontier", frontier);
  const std::string said = ending_text(summary);
  EXPECT_NE(said.find("max_bytes: wanted 500 B, reached 1,010 B"), std::string::npos) << said;
  EXPECT_NE(said.find("min_retention: wanted 95.00%, reached 60.00% by a file of 495 B"),
            std::string::npos)
      << said;
}

TEST(CertificateTest, WithoutAGateChoicesAreMeasuredByTheValidationSamples) {
  ExperimentConfig config = gated();
  config.compress.gate.recovery_rounds = 0;
  const std::vector<Json> lines{
      line(1, kFirst), line(2, R"("validation_accuracy":0.45)"),
      line(3, R"("validation_accuracy":0.1,"allotment":{"bytes":1,"fits":false,)"
              R"("predicted_loss":1,"gap":null,"file_bytes":300,"reachable":[]})"),
      line(4, R"("validation_accuracy":0.2)")};
  const Validation validation = measured();
  const std::vector<Verdict> verdicts{
      {.name = "max_bytes", .limit = 200, .measured = 1010, .is_met = false}};
  const Json frontier = frontier_json(config, lines, {verdicts, validation, 0.9});
  EXPECT_EQ(frontier.at("binding").as_array().size(), 1U);
  EXPECT_TRUE(frontier.at("predicted").as_array().empty());
  const Json::Array& points = frontier.at("measured").as_array();
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].at("round").as_integer(), 2);  // as it was before the next choice
  EXPECT_EQ(points[0].at("retention").as_number(), 0.5);
  EXPECT_TRUE(points[0].at("passed").is_null());
  EXPECT_EQ(points[1].at("round").as_integer(), 4);
  EXPECT_EQ(points[1].at("retention").as_number(), 1.01);
  EXPECT_FALSE(judged_retention(config, lines));
}

TEST(EndingTextTest, SummariesOfOlderVersionsHaveNone) {
  EXPECT_EQ(ending_text(Json::parse(R"({"seed":1})", "old")), "");
}

}  // namespace
}  // namespace coppice
