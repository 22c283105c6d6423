// The data set `npz`: a zip archive of arrays.
#include "tests/data/data_files.h"

namespace coppice {
namespace {

class NpzTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string message = message_of<Error>(
        [&] { load_dataset({.name = "npz", .root = folder_.path() / "absent"}); });
    if (message.find("no libzip") != std::string::npos) GTEST_SKIP() << message;
  }

  Dataset load(const Bytes& bytes) {
    return *load_dataset({.name = "npz", .root = folder_.write("data.npz", bytes)});
  }

  DataFolder folder_;
};

const Bytes kArchive = zip({{"x.npy", npy("|u1", "(3, 2)", "abcdef")},
                            {"y.npy", npy("|u1", "(3,)", Bytes("\0\2\1", 3))},
                            {"client.npy", npy("|S1", "(3,)", "pqp")},
                            {"x_test.npy", npy("|u1", "(1, 2)", "gh")},
                            {"y_test.npy", npy("|u1", "(1,)", "\3")}});

TEST_F(NpzTest, ArraysBecomeADataSetWithItsOwnTestSplit) {
  const Dataset dataset = load(kArchive);
  EXPECT_EQ(dataset.train.size, 3);
  EXPECT_EQ(dataset.test.labels, std::vector{3});
  EXPECT_EQ(dataset.classes, 4);
  EXPECT_EQ(dataset.client_names, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(dataset.train.client_keys, (std::vector{0, 1, 0}));
}

TEST_F(NpzTest, ArchiveWrittenByNumpyIsRead) {
  const auto dataset = load_dataset({.name = "npz",
                                     .root = COPPICE_SOURCE_DIR "/tests/golden/data/clients.npz",
                                     .test_fraction = 0.0});
  EXPECT_EQ(dataset->sample_shape, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(dataset->train.float32s[5], 1.25F);  // x = arange / 4
  EXPECT_EQ(dataset->train.labels, (std::vector{0, 1, 2, 0, 1}));
  EXPECT_EQ(dataset->client_names, (std::vector<std::string>{"Zo\xC3\xAB", "bob"}));
}

TEST_F(NpzTest, MissingArrayAndForeignFileAreNamed) {
  EXPECT_NE(message_of<DataError>([&] {
              load(zip({{"x.npy", npy("|u1", "(1, 1)", "a")}}));
            }).find("found no y"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { load("not a zip"); }).find("cannot open as an npz archive"),
            std::string::npos);
}

TEST_F(NpzTest, EveryTruncationFailsAndNoBitFlipCrashes) {
  attack(kArchive, 1500, true, [&](const Bytes& damaged) { return load(damaged); });
}

}  // namespace
}  // namespace coppice
