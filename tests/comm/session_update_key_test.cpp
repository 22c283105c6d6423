#include "comm/session/update_key.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace coppice::session {
namespace {

constexpr RunId kRun{1, 2, 3};

UpdateLedger open_ledger(std::int64_t round = 3) {
  UpdateLedger ledger(kRun);
  ledger.open(round);
  return ledger;
}

TEST(UpdateLedgerTest, AnUpdateIsAppliedOnceHoweverOftenItComes) {
  UpdateLedger ledger = open_ledger();
  const UpdateKey key = ledger.ask("a");
  EXPECT_EQ(key, (UpdateKey{kRun, 3, "a", 1}));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ledger.look(key), Admission::kApply) << "looking is free";
  EXPECT_EQ(ledger.admit(key), Admission::kApply);
  EXPECT_EQ(ledger.look(key), Admission::kDuplicate);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ledger.admit(key), Admission::kDuplicate);
  EXPECT_EQ(ledger.applied_count(), 1);
}

TEST(UpdateLedgerTest, NobodyElsesUpdateIsTaken) {
  UpdateLedger ledger = open_ledger();
  const UpdateKey key = ledger.ask("a");
  RunId other = kRun;
  other[15] = 1;
  EXPECT_EQ(ledger.admit({other, 3, "a", 1}), Admission::kNotAsked);
  EXPECT_EQ(ledger.admit({kRun, 4, "a", 1}), Admission::kNotAsked);
  EXPECT_EQ(ledger.admit({kRun, 3, "b", 1}), Admission::kNotAsked);
  EXPECT_EQ(ledger.admit({kRun, 3, "a", 2}), Admission::kNotAsked);
  EXPECT_EQ(ledger.admit({kRun, 3, "a", 0}), Admission::kNotAsked);
  EXPECT_EQ(ledger.admit({kRun, 2, "a", 1}), Admission::kLate);
  EXPECT_EQ(ledger.applied_count(), 0);
  EXPECT_EQ(ledger.admit(key), Admission::kApply);
}

TEST(UpdateLedgerTest, ALaterAttemptTakesThePlaceOfAnEarlierOne) {
  UpdateLedger ledger = open_ledger();
  const UpdateKey first = ledger.ask("a");
  const UpdateKey second = ledger.ask("a");
  EXPECT_EQ(second.attempt, 2U);
  EXPECT_EQ(ledger.admit(first), Admission::kSuperseded);
  EXPECT_EQ(ledger.admit(second), Admission::kApply);
  EXPECT_EQ(ledger.admit(first), Admission::kSuperseded);
  EXPECT_EQ(ledger.admit(second), Admission::kDuplicate);
  EXPECT_THROW(ledger.ask("a"), Error) << "it has answered";
}

TEST(UpdateLedgerTest, WhatComesAfterTheRoundIsLate) {
  UpdateLedger ledger = open_ledger();
  const UpdateKey key = ledger.ask("a");
  const UpdateKey applied = ledger.ask("b");
  ledger.admit(applied);
  ledger.close();
  EXPECT_EQ(ledger.admit(key), Admission::kLate);
  EXPECT_EQ(ledger.admit(applied), Admission::kLate);
  ledger.open(4);
  EXPECT_EQ(ledger.admit(key), Admission::kLate);
  EXPECT_EQ(ledger.ask("a").attempt, 1U);
}

TEST(UpdateLedgerTest, WhatStandsIsAdmittedOnceInALaterRound) {
  UpdateLedger ledger = open_ledger();
  ledger.ask("a");
  const UpdateKey second = ledger.ask("a");
  const UpdateKey applied = ledger.ask("b");
  const UpdateKey superseded = ledger.ask("c");
  const UpdateKey left = ledger.ask("d");
  ledger.admit(applied);
  const std::set<std::string> standing{"a", "b", "c"};
  ledger.close(standing);
  EXPECT_EQ(ledger.admit(second), Admission::kLate) << "no round is open";
  ledger.open(4);
  EXPECT_EQ(ledger.admit({kRun, 3, "a", 1}), Admission::kLate);
  EXPECT_EQ(ledger.admit(applied), Admission::kLate);
  EXPECT_EQ(ledger.admit(left), Admission::kLate) << "it does not stand";
  ledger.ask("c");
  EXPECT_EQ(ledger.admit(superseded), Admission::kLate);
  ledger.close(standing);
  ledger.open(5);
  EXPECT_EQ(ledger.admit(second), Admission::kApply) << "two rounds later";
  EXPECT_EQ(ledger.admit(second), Admission::kDuplicate);
  ledger.close(standing);
  ledger.open(6);
  EXPECT_EQ(ledger.admit(second), Admission::kLate);
  EXPECT_EQ(ledger.look({kRun, 4, "c", 1}), Admission::kApply);
  ledger.close();
  ledger.open(7);
  EXPECT_EQ(ledger.look({kRun, 4, "c", 1}), Admission::kLate);
}

// Killed after its round's update was applied and before the commit: the sums are gone, so the
// update counts again; what the last commit holds does not.
TEST(UpdateLedgerTest, ARunThatGoesOnTakesWhatWasNotCommitted) {
  UpdateLedger ledger(kRun, 3);
  EXPECT_EQ(ledger.admit({kRun, 3, "a", 1}), Admission::kLate);
  ledger.open(4);
  const UpdateKey key = ledger.ask("a");
  EXPECT_EQ(ledger.admit(key), Admission::kApply);
}

TEST(UpdateLedgerTest, CallsOutOfOrderAreErrors) {
  UpdateLedger ledger(kRun);
  EXPECT_THROW(ledger.ask("a"), Error);
  EXPECT_THROW(ledger.close(), Error);
  ledger.open(3);
  EXPECT_THROW(ledger.open(4), Error);
  ledger.close();
  EXPECT_THROW(ledger.open(3), Error);
  EXPECT_THROW(ledger.ask("a"), Error);
}

TEST(UpdateKeyTest, TextNamesEverything) {
  EXPECT_EQ(to_text(UpdateKey{RunId{0xAB}, 3, "edge-1", 2}),
            "run ab000000000000000000000000000000 round 3 node edge-1 attempt 2");
}

}  // namespace
}  // namespace coppice::session
