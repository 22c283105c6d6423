#include "deploy/measurement.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "deploy/validation.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

constexpr const char* kLine =
    R"({"runs":1000,"core":1,"threads":2,"p50_us":18.5,"p99_us":20.25,"p999_us":81,"spin_p50_us":18.75,)"
    R"("spin_p99_us":19,"spin_p999_us":80.5,"activation_bytes":5872,"process_bytes":307200})";

TEST(MeasurementTest, TheLineOfCoppiceMeasureIsReadFieldByField) {
  const Measurement read = measurement_from(kLine, "coppice-measure");
  EXPECT_EQ(read.runs, 1000);
  EXPECT_EQ(read.core, 1);
  EXPECT_EQ(read.threads, 2);
  EXPECT_EQ(read.latency.p50_us, 18.5);
  EXPECT_EQ(read.latency.p99_us, 20.25);
  EXPECT_EQ(read.latency.p999_us, 81.0);
  EXPECT_EQ(read.spin.p50_us, 18.75);
  EXPECT_EQ(read.spin.p99_us, 19.0);
  EXPECT_EQ(read.spin.p999_us, 80.5);
  EXPECT_EQ(read.activation_bytes, 5872);
  EXPECT_EQ(read.process_bytes, 307200);
}

TEST(MeasurementTest, AFieldThatIsMissingIsNamed) {
  std::string line = kLine;
  line.replace(line.find("spin_p99_us"), 4, "spun");
  EXPECT_NE(thrown_text<DataError>([&] {
              measurement_from(line, "coppice-measure");
            }).find("spin_p99_us"),
            std::string::npos);
  EXPECT_NE(thrown_text<DataError>([] { measurement_from("", "the program"); }).find("the program"),
            std::string::npos);
}

TEST(MeasurementTest, ReportsHaveTheSpinBesideAndGoalsJudgeTheModel) {
  Validation validation;
  validation.measurement = measurement_from(kLine, "coppice-measure");
  const Json report = report_json(validation);
  EXPECT_EQ(report.at("latency_us").at("p999").as_number(), 81.0);
  EXPECT_EQ(report.at("spin_us").at("p50").as_number(), 18.75);
  EXPECT_EQ(report.at("spin_us").at("p999").as_number(), 80.5);
  EXPECT_EQ(report.at("threads").as_integer(), 2);
  Constraints limits;
  limits.max_latency_us = 18.5;
  limits.max_latency_p99_us = 20.0;
  const std::vector<Verdict> verdicts = judge(limits, validation);
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].measured, 18.5);
  EXPECT_TRUE(verdicts[0].is_met);
  EXPECT_EQ(verdicts[1].measured, 20.25);
  EXPECT_FALSE(verdicts[1].is_met);
}

}  // namespace
}  // namespace coppice
