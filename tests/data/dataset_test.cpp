#include "data/dataset.h"

#include <numeric>
#include <set>

#include "data/loader.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

Dataset bytes_dataset() {
  Dataset dataset{.type = SampleType::kUint8, .sample_shape = {1, 1, 2}, .classes = 2};
  dataset.train = {.size = 3, .uint8s = {0, 255, 51, 1, 128, 2}, .labels = {0, 1, 1}};
  return dataset;
}

TEST(DatasetTest, EveryByteBecomesItsQuotientBy255) {
  Dataset dataset = bytes_dataset();
  dataset.train.size = 128;
  dataset.train.uint8s.resize(256);
  std::iota(dataset.train.uint8s.begin(), dataset.train.uint8s.end(), std::uint8_t{0});
  std::vector<std::int64_t> all(128);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  std::vector<float> out(256);
  gather_samples(dataset, dataset.train, all, out);
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(out[static_cast<std::size_t>(byte)], static_cast<float>(byte) / 255.0F) << byte;
}

TEST(DatasetTest, GatheredBytesAreDividedBy255) {
  const Dataset dataset = bytes_dataset();
  std::vector<float> out(4);
  gather_samples(dataset, dataset.train, std::vector<std::int64_t>{2, 0}, out);
  EXPECT_EQ(out, (std::vector{128.0F / 255.0F, 2.0F / 255.0F, 0.0F, 1.0F}));
}

TEST(DatasetTest, GatheredFloatsAndIdsAreAsTheyAre) {
  Dataset dataset{.type = SampleType::kFloat32, .sample_shape = {1}};
  dataset.train = {.size = 2, .float32s = {0.5F, -7.0F}};
  std::vector<float> out(1);
  gather_samples(dataset, dataset.train, std::vector<std::int64_t>{1}, out);
  EXPECT_EQ(out[0], -7.0F);
  dataset.type = SampleType::kInt32;
  dataset.train = {.size = 1, .int32s = {1 << 20}};
  gather_samples(dataset, dataset.train, std::vector<std::int64_t>{0}, out);
  EXPECT_EQ(out[0], 1048576.0F);
}

TEST(DatasetTest, GatheredLabelsKeepTheirRows) {
  Dataset dataset{.sample_shape = {1}, .labels_per_sample = 2};
  dataset.train = {.size = 2, .labels = {1, 2, 3, 4}};
  std::vector<std::int32_t> out(4);
  gather_labels(dataset, dataset.train, std::vector<std::int64_t>{1, 0}, out);
  EXPECT_EQ(out, (std::vector{3, 4, 1, 2}));
}

TEST(DatasetTest, WrongIndicesAndRoomAreRefused) {
  const Dataset dataset = bytes_dataset();
  std::vector<float> out(2);
  std::vector<std::int32_t> labels(1);
  for (const std::int64_t index : {-1, 3}) {
    EXPECT_THROW(gather_samples(dataset, dataset.train, std::vector{index}, out), ConfigError);
    EXPECT_THROW(gather_labels(dataset, dataset.train, std::vector{index}, labels), ConfigError);
  }
  EXPECT_THROW(gather_samples(dataset, dataset.train, std::vector<std::int64_t>{0, 1}, out),
               ConfigError);
  EXPECT_THROW(gather_samples(dataset, dataset.test, std::vector<std::int64_t>{0}, out),
               ConfigError);
}

TEST(DatasetTest, RegistryAnswersUnknownNamesWithTheNearest) {
  EXPECT_NE(message_of<ConfigError>([] {
              load_dataset({.name = "fashion-mnist"});
            }).find("did you mean 'fashion_mnist'"),
            std::string::npos);
  EXPECT_THROW(locate_dataset("mnist"), ConfigError);
}

TEST(DatasetTest, EveryDataSetIsDescribedAndRefusesARootThatIsMissing) {
  std::set<std::string_view> names;
  for (const DatasetInfo& info : known_datasets()) {
    EXPECT_FALSE(info.sentence.empty());
    EXPECT_TRUE(names.insert(info.name).second) << info.name << " stands twice";
    EXPECT_THROW(load_dataset({.name = std::string(info.name), .root = "/nonexistent/coppice"}),
                 Error)
        << info.name;
    EXPECT_NO_THROW(locate_dataset(info.name));
  }
  for (const char* name : {"idx", "csv", "text"}) {
    EXPECT_NE(
        message_of<ConfigError>([&] { load_dataset({.name = name}); }).find("needs data.root"),
        std::string::npos);
  }
}

TEST(DatasetTest, TestFractionOutsideItsRangeIsRefused) {
  for (const double fraction : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(load_dataset({.name = "iris", .test_fraction = fraction}), ConfigError)
        << fraction;
  }
}

Dataset numbered(std::int64_t n) {
  Dataset dataset{.type = SampleType::kFloat32, .sample_shape = {1}, .classes = 1};
  dataset.train.size = n;
  for (std::int64_t i = 0; i < n; ++i) dataset.train.float32s.push_back(static_cast<float>(i));
  dataset.train.labels.assign(static_cast<std::size_t>(n), 0);
  return dataset;
}

TEST(SplitOffTestTest, TakesTheFloorOfTheFractionOnceAndKeepsTheOrder) {
  for (const auto& [n, fraction, expected] : {std::tuple{10, 0.2, 2},
                                              {10, 0.29, 2},
                                              {100, 0.29, 29},
                                              {1, 0.9, 0},
                                              {7, 0.0, 0},
                                              {3, 0.99, 2}}) {
    Dataset dataset = numbered(n);
    split_off_test(dataset, fraction);
    EXPECT_EQ(dataset.test.size, expected) << n << " x " << fraction;
    EXPECT_TRUE(std::is_sorted(dataset.train.float32s.begin(), dataset.train.float32s.end()));
    std::vector<float> all = dataset.train.float32s;
    all.insert(all.end(), dataset.test.float32s.begin(), dataset.test.float32s.end());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, numbered(n).train.float32s);
  }
}

TEST(SplitOffTestTest, IsTheSameEveryTime) {
  Dataset first = numbered(1000);
  Dataset second = numbered(1000);
  split_off_test(first, 0.3);
  split_off_test(second, 0.3);
  EXPECT_EQ(first.test.float32s, second.test.float32s);
  EXPECT_FALSE(
      std::is_sorted(first.test.float32s.begin(), first.test.float32s.end(), std::greater<>()));
}

}  // namespace
}  // namespace coppice
