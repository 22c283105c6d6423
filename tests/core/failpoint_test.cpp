#include "core/failpoint.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace coppice {
namespace {

class FailpointTest : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    if (!error_of("after_plan:1").empty()) GTEST_SKIP() << "built without COPPICE_FAILPOINTS";
    TearDown();
  }
  void TearDown() override {
    unsetenv("COPPICE_FAILPOINT");
    arm_failpoints();
  }

  static void set(const char* value) { setenv("COPPICE_FAILPOINT", value, 1); }
  static void arm(const char* value) {
    set(value);
    arm_failpoints();
  }

  static std::string error_of(const char* value) {
    set(value);
    try {
      arm_failpoints();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }
};

using FailpointDeathTest = FailpointTest;

TEST_F(FailpointDeathTest, KillsAtTheCountedVisitAndNotBefore) {
  const auto visit_thrice = [] {
    arm("before_commit:3");
    failpoint("before_commit");
    failpoint("after_commit");
    failpoint("before_commit");
    std::fputs("alive", stderr);
    failpoint("before_commit");
    std::fputs("survived", stderr);
  };
  EXPECT_EXIT(visit_thrice(), testing::KilledBySignal(SIGKILL), "^alive$");
}

TEST_F(FailpointDeathTest, LetsTheCallerLeaveItsDamageBeforeItDies) {
  const auto damage_and_die = [] {
    arm("during_commit:1");
    if (failpoint_is_due("during_commit")) {
      std::fputs("half", stderr);
      die_at_failpoint();
    }
  };
  EXPECT_EXIT(damage_and_die(), testing::KilledBySignal(SIGKILL), "^half$");
}

TEST_F(FailpointTest, NothingHappensWithoutTheVariableOrAfterAnotherName) {
  failpoint("after_plan");
  set("after_plan:1");
  EXPECT_FALSE(failpoint_is_due("after_plan"));  // read when armed, not at every visit
  arm("after_apply:1");
  failpoint("after_plan");
  EXPECT_FALSE(failpoint_is_due("after_plan"));
  unsetenv("COPPICE_FAILPOINT");
  arm_failpoints();
  EXPECT_FALSE(failpoint_is_due("after_apply"));
}

TEST_F(FailpointTest, EveryKnownNameIsAccepted) {
  EXPECT_EQ(known_failpoints().size(), 21U);
  for (const std::string_view name : known_failpoints()) {
    set((std::string(name) + ":2").c_str());
    EXPECT_NO_THROW(arm_failpoints()) << name;
  }
}

TEST_F(FailpointTest, UnknownNameNamesTheNearest) {
  EXPECT_NE(error_of("befor_comit:1").find("did you mean 'before_commit'"), std::string::npos)
      << error_of("befor_comit:1");
}

TEST_F(FailpointTest, AnythingButNameAndPositiveCountIsRefused) {
  for (const char* value :
       {"before_commit", "before_commit:", "before_commit:0", "before_commit:-1",
        "before_commit:1x", "before_commit:x", "before_commit:99999999999999999999", ":1", ""}) {
    EXPECT_NE(error_of(value).find("COPPICE_FAILPOINT"), std::string::npos) << value;
  }
}

}  // namespace
}  // namespace coppice
