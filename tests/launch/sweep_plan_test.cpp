#include "launch/sweep_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.h"

namespace coppice {
namespace {

std::vector<std::string> values_of(const std::string& argument) {
  return parse_sweep(std::vector{argument}).front().values;
}

std::string message_of(const std::vector<std::string>& arguments) {
  try {
    parse_sweep(arguments);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

Json summary(double accuracy, Json retention) {
  Json out;
  out.set("final_accuracy", accuracy);
  out.set("retention", std::move(retention));
  out.set("bytes_up", 2'000'000);
  out.set("parameters", 1000);
  out.set("seconds", 2.5);
  return out;
}

TEST(SweepPlanTest, CommasOutsideBracketsAndQuotesSeparateValues) {
  EXPECT_EQ(values_of("seed=1,2,3"), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(values_of("model.hidden=[32],[64, 64]"),
            (std::vector<std::string>{"[32]", "[64, 64]"}));
  EXPECT_EQ(values_of("a={x: [1, 2], y: 2},{x: [3]}"),
            (std::vector<std::string>{"{x: [1, 2], y: 2}", "{x: [3]}"}));
  EXPECT_EQ(values_of("data.root=\"a,b\",'c,[d'"), (std::vector<std::string>{"\"a,b\"", "'c,[d'"}));
  EXPECT_EQ(values_of("name=a=b, c "), (std::vector<std::string>{"a=b", "c"}));
  EXPECT_EQ(values_of("data.root="), std::vector<std::string>{""});
}

TEST(SweepPlanTest, ArgumentsThatAreNoListsAreRefused) {
  EXPECT_NE(message_of({"seed"}).find("expected key=value"), std::string::npos);
  EXPECT_NE(message_of({"=1"}).find("expected key=value"), std::string::npos);
  EXPECT_NE(message_of({"seed=1,,2"}).find("empty"), std::string::npos);
  EXPECT_NE(message_of({"seed=1,"}).find("empty"), std::string::npos);
  EXPECT_NE(message_of({"seed=1,2,1"}).find("'1' stands there twice"), std::string::npos);
  EXPECT_NE(message_of({"a=[1,2"}).find("not closed"), std::string::npos);
  EXPECT_NE(message_of({"a=\"1,2"}).find("not closed"), std::string::npos);
  EXPECT_NE(message_of({"a=1],2"}).find("not opened"), std::string::npos);
  EXPECT_NE(message_of({"seed=1", "seed=2"}).find("'seed' was given before"), std::string::npos);
}

TEST(SweepPlanTest, EveryCombinationComesOnceAndTheLastKeyChangesFastest) {
  const auto keys = parse_sweep(std::vector<std::string>{"a=1,2", "fixed=x", "b=3,4,5"});
  const std::vector<Combination> all = combinations(keys);
  ASSERT_EQ(all.size(), 6U);
  EXPECT_EQ(all[0].overrides(), (std::vector<std::string>{"a=1", "fixed=x", "b=3"}));
  EXPECT_EQ(all[1].overrides(), (std::vector<std::string>{"a=1", "fixed=x", "b=4"}));
  EXPECT_EQ(all[5].overrides(), (std::vector<std::string>{"a=2", "fixed=x", "b=5"}));
  EXPECT_EQ(combinations({}).size(), 1U);
}

TEST(SweepPlanTest, MoreThanTenThousandCombinationsAreRefused) {
  SweptKey key{"a", {}};
  for (int i = 0; i < 101; ++i) key.values.push_back(std::to_string(i));
  EXPECT_EQ(combinations(std::vector{key}).size(), 101U);
  EXPECT_THROW(combinations(std::vector{key, key}), ConfigError);
}

TEST(SweepPlanTest, FolderNamesHoldVariedKeysOnly) {
  const auto keys =
      parse_sweep(std::vector<std::string>{"seed=1,2", "train.rounds=5", "lr=0.1,1e-2"});
  EXPECT_EQ(folder_name(combinations(keys)[1], keys), "seed=1,lr=1e-2");
  const auto fixed = parse_sweep(std::vector<std::string>{"train.rounds=5"});
  EXPECT_EQ(folder_name(combinations(fixed)[0], fixed), "run");
}

TEST(SweepPlanTest, NoTwoCombinationsShareAFolderAndNoneLeavesIt) {
  const std::string long_value(200, 'x');
  const auto keys = parse_sweep(std::vector<std::string>{
      "root=../a,..%a,__/a,../b,/etc," + long_value + "1," + long_value + "2", "b=[1],[2]"});
  std::set<std::string> names;
  for (const Combination& combination : combinations(keys)) {
    const std::string name = folder_name(combination, keys);
    EXPECT_EQ(name.find_first_of("/%[]"), std::string::npos) << name;
    EXPECT_LE(name.size(), 120U);
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 14U);
}

TEST(SweepPlanTest, MeansAreTakenOverSeedsWithTheSampleDeviation) {
  const auto keys = parse_sweep(std::vector<std::string>{"seed=1,2,3", "lr=0.1,0.2"});
  const std::vector<Combination> all = combinations(keys);
  std::vector<Json> summaries;
  for (const double accuracy : {0.1, 0.5, 0.2, 0.5, 0.6, 0.5})
    summaries.push_back(summary(accuracy, Json()));
  const std::vector<SweepGroup> groups = gather_sweep(keys, all, summaries);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].values, (std::vector<std::pair<std::string, std::string>>{{"lr", "0.1"}}));
  EXPECT_EQ(groups[0].runs, 3);
  const SweepGroup::Statistic accuracy = groups[0].statistics.at("final_accuracy");
  EXPECT_NEAR(accuracy.mean.as_number(), 0.3, 1e-12);
  EXPECT_NEAR(accuracy.standard_deviation.as_number(), std::sqrt(0.07),
              1e-12);  // (0.04 + 0.01 + 0.09) / 2
  EXPECT_DOUBLE_EQ(groups[1].statistics.at("final_accuracy").standard_deviation.as_number(), 0.0);
  EXPECT_TRUE(groups[1].statistics.at("retention").mean.is_null());
}

TEST(SweepPlanTest, OneRunHasAMeanAndNoDeviation) {
  const auto keys = parse_sweep(std::vector<std::string>{"seed=7"});
  const std::vector<SweepGroup> groups =
      gather_sweep(keys, combinations(keys), std::vector{summary(0.5, 0.99)});
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_DOUBLE_EQ(groups[0].statistics.at("retention").mean.as_number(), 0.99);
  EXPECT_TRUE(groups[0].statistics.at("retention").standard_deviation.is_null());
  EXPECT_EQ(sweep_table(groups),
            "runs  accuracy %  retention %  bytes  MB up  parameters  seconds\n"
            "   1       50.00        99.00      -   2.00        1000      2.5\n");
}

TEST(SweepPlanTest, TheTableShowsMeanAndDeviationForEveryGroup) {
  const auto keys = parse_sweep(std::vector<std::string>{"lr=0.1,0.2", "seed=1,2"});
  const std::vector<Json> summaries = {summary(0.5, Json()), summary(0.7, Json()),
                                       summary(0.25, Json()), summary(0.25, Json())};
  EXPECT_EQ(sweep_table(gather_sweep(keys, combinations(keys), summaries)),
            "lr   runs     accuracy %  retention %  bytes        MB up  parameters    seconds\n"
            "0.1     2  60.00 ± 14.14            -      -  2.00 ± 0.00    1000 ± 0  2.5 ± 0.0\n"
            "0.2     2   25.00 ± 0.00            -      -  2.00 ± 0.00    1000 ± 0  2.5 ± 0.0\n");
}

}  // namespace
}  // namespace coppice
