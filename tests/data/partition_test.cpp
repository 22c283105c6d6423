#include "data/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "data/partitioner.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

// `per_class` samples of each class, classes in turn, and a client key of three for each.
Dataset balanced(std::int64_t classes, std::int64_t per_class) {
  Dataset dataset{
      .name = "balanced", .type = SampleType::kFloat32, .sample_shape = {1}, .classes = classes};
  dataset.client_names = {"x", "y", "z"};
  dataset.train.size = classes * per_class;
  for (std::int64_t i = 0; i < dataset.train.size; ++i) {
    dataset.train.float32s.push_back(0.0F);
    dataset.train.labels.push_back(static_cast<std::int32_t>(i % classes));
    dataset.train.client_keys.push_back(static_cast<std::int32_t>(i % 7 % 3));
  }
  return dataset;
}

std::vector<std::int64_t> owned_samples(const Partition& partition) {
  std::vector<std::int64_t> all;
  for (const ClientData& client : partition.clients) {
    all.insert(all.end(), client.train.begin(), client.train.end());
    all.insert(all.end(), client.validation.begin(), client.validation.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<std::int64_t> row_of(const std::vector<std::int64_t>& counts, std::int64_t classes,
                                 std::int64_t client) {
  return {counts.begin() + client * classes, counts.begin() + (client + 1) * classes};
}

// What every scheme promises, on data that every scheme can split completely.
class SchemeTest : public ::testing::TestWithParam<std::string_view> {
 protected:
  PartitionRequest request() const {
    return {.scheme = std::string(GetParam()),
            .clients = GetParam() == "by_key" ? 3 : 10,
            .validation_fraction = 0.25,
            .owner = 0};
  }
};

TEST_P(SchemeTest, EverySampleHasExactlyOnePlace) {
  const Dataset dataset = balanced(10, 60);
  const Partition partition = make_partition(dataset, request());
  std::vector<std::int64_t> everything(600);
  std::iota(everything.begin(), everything.end(), 0);
  EXPECT_EQ(owned_samples(partition), everything);
  EXPECT_EQ(partition.train_samples() + partition.validation_samples(), 600);
}

TEST_P(SchemeTest, ListsAreAscendingAndValidationIsAFloorOfWhatIsOwned) {
  const Partition partition = make_partition(balanced(10, 60), request());
  for (const ClientData& client : partition.clients) {
    EXPECT_TRUE(std::is_sorted(client.train.begin(), client.train.end()));
    EXPECT_TRUE(std::is_sorted(client.validation.begin(), client.validation.end()));
    EXPECT_EQ(client.validation.size(), (client.train.size() + client.validation.size()) / 4);
  }
}

TEST_P(SchemeTest, TheSameRequestGivesTheSamePartition) {
  const Dataset dataset = balanced(10, 60);
  const Partition first = make_partition(dataset, request());
  const Partition second = make_partition(dataset, request());
  for (std::size_t i = 0; i < first.clients.size(); ++i) {
    EXPECT_EQ(first.clients[i].train, second.clients[i].train);
    EXPECT_EQ(first.clients[i].validation, second.clients[i].validation);
  }
}

TEST_P(SchemeTest, AnotherSeedGivesAnotherPartition) {
  const Dataset dataset = balanced(10, 60);
  PartitionRequest other = request();
  other.seed = 2;
  EXPECT_NE(make_partition(dataset, request()).clients[0].train,
            make_partition(dataset, other).clients[0].train);
}

TEST_P(SchemeTest, ValidationDoesNotChangeWhoOwnsWhat) {
  const Dataset dataset = balanced(10, 60);
  PartitionRequest without = request();
  without.validation_fraction = 0.0;
  const Partition all = make_partition(dataset, without);
  const Partition split = make_partition(dataset, request());
  for (std::size_t i = 0; i < all.clients.size(); ++i) {
    std::vector<std::int64_t> both = split.clients[i].train;
    both.insert(both.end(), split.clients[i].validation.begin(), split.clients[i].validation.end());
    std::sort(both.begin(), both.end());
    EXPECT_EQ(both, all.clients[i].train);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SchemeTest,
                         ::testing::ValuesIn(known_partitioners().begin(),
                                             known_partitioners().end()),
                         [](const auto& scheme) { return std::string(scheme.param); });

TEST(PartitionTest, DataOfADeviceIsItsClientsAlone) {
  const Dataset dataset = balanced(2, 10);
  PartitionRequest request{.scheme = "devices", .clients = 50};  // more than there are samples here
  EXPECT_TRUE(owned_samples(make_partition(dataset, request)).empty());
  request.owner = 30;
  const Partition partition = make_partition(dataset, request);
  EXPECT_EQ(partition.clients.size(), 50U);
  EXPECT_EQ(partition.clients[30].train.size(), 20U);
  request.owner = 50;
  EXPECT_THROW(make_partition(dataset, request), ConfigError);
}

TEST(PartitionTest, IidSizesDifferByAtMostOneLongerOnesFirst) {
  const Partition partition = make_partition(balanced(1, 23), {.scheme = "iid", .clients = 5});
  std::vector<std::size_t> sizes;
  for (const ClientData& client : partition.clients) sizes.push_back(client.train.size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{5, 5, 5, 4, 4}));
}

TEST(PartitionTest, ValidationNeverTakesTheLastTrainingSample) {
  const Partition partition =
      make_partition(balanced(1, 4), {.scheme = "iid", .clients = 3, .validation_fraction = 0.99});
  EXPECT_EQ(partition.train_samples(), 3);
  EXPECT_EQ(partition.validation_samples(), 1);  // of the client that owns two
}

TEST(PartitionTest, RequestsThatCannotBeMetAreRefused) {
  const Dataset dataset = balanced(2, 10);
  const auto refuse = [&](const PartitionRequest& request) {
    return message_of<ConfigError>([&] { make_partition(dataset, request); });
  };
  EXPECT_NE(refuse({.scheme = "dirichlett"}).find("did you mean 'dirichlet'"), std::string::npos);
  EXPECT_NE(refuse({.scheme = "iid", .clients = 21}).find("at most 20"), std::string::npos);
  EXPECT_NE(refuse({.scheme = "iid", .clients = 0}).find("at least 1, got 0"), std::string::npos);
  EXPECT_NE(refuse({.scheme = "iid", .clients = -3}).find("got -3"), std::string::npos);
  EXPECT_NE(refuse({.scheme = "iid", .clients = 2, .validation_fraction = 1.0}).find("[0, 1)"),
            std::string::npos);
  EXPECT_NE(refuse({.scheme = "dirichlet", .clients = 2, .alpha = 0.0}).find("> 0"),
            std::string::npos);
  EXPECT_NE(refuse({.scheme = "dirichlet", .clients = 3}).find("at least 10 samples"),
            std::string::npos);
  EXPECT_NE(refuse({.scheme = "shards", .clients = 2, .classes_per_client = 3}).find("1 to 2"),
            std::string::npos);
  EXPECT_NE(refuse({.scheme = "shards", .clients = 2, .classes_per_client = 0}).find("got 0"),
            std::string::npos);
  EXPECT_NE(refuse({.scheme = "by_key", .clients = 4}).find("at most the 3 clients"),
            std::string::npos);
}

TEST(PartitionTest, ByKeyTakesTheFirstKeysAndLeavesTheRest) {
  const Dataset dataset = balanced(2, 10);
  const Partition all = make_partition(dataset, {.scheme = "by_key", .clients = 0});
  ASSERT_EQ(all.clients.size(), 3U);
  EXPECT_EQ(all.clients[2].name, "z");
  const Partition two = make_partition(dataset, {.scheme = "by_key", .clients = 2});
  ASSERT_EQ(two.clients.size(), 2U);
  for (const std::int64_t sample : two.clients[1].train) {
    EXPECT_EQ(dataset.train.client_keys[static_cast<std::size_t>(sample)], 1);
  }
  Dataset keyless = dataset;
  keyless.train.client_keys.clear();
  EXPECT_THROW(make_partition(keyless, {.scheme = "by_key", .clients = 0}), ConfigError);
}

TEST(PartitionTest, SeveralLabelsASampleCanOnlyBeSplitWithoutClasses) {
  Dataset dataset = balanced(2, 10);
  dataset.labels_per_sample = 2;
  dataset.train.labels.resize(40, 1);
  EXPECT_THROW(make_partition(dataset, {.scheme = "dirichlet", .clients = 2}), ConfigError);
  EXPECT_THROW(make_partition(dataset, {.scheme = "shards", .clients = 2}), ConfigError);
  const Partition partition = make_partition(dataset, {.scheme = "iid", .clients = 2});
  const std::vector<std::int64_t> counts = class_counts(dataset, partition);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}), 40);
}

TEST(PartitionTest, ClassCountsAreTrainingSamplesOnly) {
  const Dataset dataset = balanced(2, 10);
  const Partition partition{{{"", {0, 2, 3}, {1, 5}}, {"", {7}, {}}}};
  EXPECT_EQ(class_counts(dataset, partition), (std::vector<std::int64_t>{2, 1, 0, 1}));
}

TEST(ShardsTest, EachClientOwnsExactlyKClassesItsOwnIndexAmongThem) {
  const Dataset dataset = balanced(10, 60);
  for (const std::int64_t k : {1, 2, 3, 10}) {
    const Partition partition =
        make_partition(dataset, {.scheme = "shards", .clients = 12, .classes_per_client = k});
    const auto counts = class_counts(dataset, partition);
    for (std::int64_t client = 0; client < 12; ++client) {
      const auto row = row_of(counts, 10, client);
      EXPECT_EQ(std::count_if(row.begin(), row.end(), [](auto n) { return n > 0; }), k);
      EXPECT_GT(row[static_cast<std::size_t>(client % 10)], 0);
    }
  }
}

TEST(ShardsTest, OwnersShareAClassEvenly) {
  const Dataset dataset = balanced(10, 61);
  const auto counts =
      class_counts(dataset, make_partition(dataset, {.scheme = "shards", .clients = 10}));
  for (std::size_t label = 0; label < 10; ++label) {
    std::vector<std::int64_t> shares;
    for (std::size_t client = 0; client < 10; ++client) {
      if (counts[client * 10 + label] > 0) shares.push_back(counts[client * 10 + label]);
    }
    const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
    EXPECT_LE(*high - *low, 1);
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::int64_t{0}), 61);
  }
}

TEST(ShardsTest, EveryClassHasAnOwnerWhereThereIsRoom) {
  const Dataset dataset = balanced(10, 60);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    // 4 clients x 3 classes for 10 classes; 5 x 2 leaves no room to spare.
    for (const auto& [clients, k] : {std::pair{4, 3}, {5, 2}}) {
      const PartitionRequest request{
          .scheme = "shards", .clients = clients, .classes_per_client = k, .seed = seed};
      EXPECT_EQ(make_partition(dataset, request).train_samples(), 600) << seed;
    }
  }
  // 3 clients x 2 classes cannot own 10: six classes are owned, four belong to nobody.
  EXPECT_EQ(make_partition(dataset, {.scheme = "shards", .clients = 3}).train_samples(), 360);
}

TEST(ShardsTest, ClassesWithoutSamplesCountForNothing) {
  Dataset dataset = balanced(2, 10);
  dataset.classes = 5;
  for (std::int32_t& label : dataset.train.labels) label *= 4;  // classes 0 and 4
  EXPECT_EQ(make_partition(dataset, {.scheme = "shards", .clients = 2}).train_samples(), 20);
  EXPECT_THROW(make_partition(dataset, {.scheme = "shards", .clients = 2, .classes_per_client = 3}),
               ConfigError);
}

TEST(DirichletTest, EveryClientOwnsTheMinimum) {
  const Dataset dataset = balanced(10, 100);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Partition partition = make_partition(
        dataset,
        {.scheme = "dirichlet", .clients = 10, .alpha = 0.3, .min_samples = 30, .seed = seed});
    for (const ClientData& client : partition.clients) EXPECT_GE(client.train.size(), 30U);
  }
}

TEST(DirichletTest, ClientsThatOwnTheirShareGetNothingMore) {
  const Dataset dataset = balanced(10, 100);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto counts = class_counts(
        dataset, make_partition(dataset, {.scheme = "dirichlet", .clients = 10, .seed = seed}));
    for (std::int64_t client = 0; client < 10; ++client) {
      std::int64_t owned = 0;
      for (const std::int64_t count : row_of(counts, 10, client)) {
        if (owned >= 100) {
          EXPECT_EQ(count, 0) << "seed " << seed << " client " << client << " owns " << owned;
        }
        owned += count;
      }
    }
  }
}

TEST(DirichletTest, DrawsThatNeverGiveTheMinimumAreGivenUp) {
  // With one class and a tiny alpha one client draws nearly everything, every time.
  const Dataset dataset = balanced(1, 20);
  const PartitionRequest request{.scheme = "dirichlet", .clients = 2, .alpha = 1e-4};
  EXPECT_NE(
      message_of<ConfigError>([&] { make_partition(dataset, request); }).find("no draw of 1000"),
      std::string::npos);
}

TEST(DirichletTest, LargeAlphaIsEvenAndSmallAlphaIsNot) {
  const Dataset dataset = balanced(10, 1000);
  const auto even = class_counts(
      dataset, make_partition(dataset, {.scheme = "dirichlet", .clients = 5, .alpha = 1e6}));
  // A client that is full early by one sample makes the last classes uneven; the first ones are
  // free of the cap.
  for (std::size_t client = 0; client < 5; ++client)
    EXPECT_NEAR(static_cast<double>(even[client * 10]), 200, 2);
  const auto skewed = class_counts(
      dataset, make_partition(dataset, {.scheme = "dirichlet", .clients = 5, .alpha = 0.05}));
  EXPECT_GT(*std::max_element(skewed.begin(), skewed.end()), 800);
}

TEST(DirichletTest, ShareOfTheFirstClassHasTheDirichletsMoments) {
  // Dirichlet(alpha, ..., alpha) over n: mean 1/n, variance (n - 1) / (n^2 (n alpha + 1)). The
  // first class is not capped; with min_samples 0 the only conditioning is that nobody stays empty,
  // rare with 20 classes.
  const Dataset dataset = balanced(20, 200);
  double sum = 0.0;
  double sum_of_squares = 0.0;
  const int draws = 300;
  for (int seed = 0; seed < draws; ++seed) {
    const auto counts =
        class_counts(dataset, make_partition(dataset, {.scheme = "dirichlet",
                                                       .clients = 4,
                                                       .alpha = 0.5,
                                                       .min_samples = 0,
                                                       .seed = static_cast<std::uint64_t>(seed)}));
    const double share = static_cast<double>(counts[0]) / 200.0;
    sum += share;
    sum_of_squares += share * share;
  }
  const double mean = sum / draws;
  EXPECT_NEAR(mean, 0.25, 0.05);
  EXPECT_NEAR(sum_of_squares / draws - mean * mean, 3.0 / (16.0 * 3.0), 0.015);
}

}  // namespace
}  // namespace coppice
