// The data sets `idx` and `fashion_mnist`: IDX files in a folder.
#include "tests/data/data_files.h"

namespace coppice {
namespace {

const Bytes kImages = idx(0x08, {5, 2, 2}, "aaaabbbbccccddddeeee");
const Bytes kLabels = idx(0x08, {5}, Bytes("\0\1\2\1\0", 5));

std::unique_ptr<const Dataset> load(const DataFolder& folder, const std::string& name = "idx") {
  return load_dataset({.name = name, .root = folder.path()});
}

TEST(IdxFolderTest, OfficialTestFilesBecomeTheTestSplit) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte.gz", gzip(kImages));
  folder.write("train-labels-idx1-ubyte", kLabels);
  folder.write("t10k-images-idx3-ubyte", idx(0x08, {1, 2, 2}, "zzzz"));
  folder.write("t10k-labels-idx1-int", idx(0x0C, {1}, big_endian(3)));
  const auto dataset = load(folder);
  EXPECT_EQ(dataset->name, "idx");
  EXPECT_EQ(dataset->sample_shape, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(dataset->train.size, 5);
  EXPECT_EQ(dataset->test.labels, std::vector{3});
  EXPECT_EQ(dataset->classes, 4);
}

TEST(IdxFolderTest, WithoutTestFilesAFractionIsSplitOff) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("train-labels-idx1-ubyte", kLabels);
  const auto dataset = load(folder);
  EXPECT_EQ(dataset->train.size, 4);
  EXPECT_EQ(dataset->test.size, 1);
}

TEST(IdxFolderTest, PlainFileWinsOverItsGzipCopyAndTwoKindsAreRefused) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("train-images-idx3-ubyte.gz", "damaged, never opened");
  folder.write("train-labels-idx1-ubyte", kLabels);
  EXPECT_EQ(load(folder)->classes, 3);
  folder.write("train-labels-idx1-int", kLabels);
  EXPECT_NE(
      message_of<DataError>([&] { load(folder); }).find("expected one file train-labels-idx*"),
      std::string::npos);
}

TEST(IdxFolderTest, MissingFilesAreNamed) {
  const DataFolder folder;
  EXPECT_NE(message_of<DataError>([&] { load(folder); }).find("expected train-images-idx*"),
            std::string::npos);
  folder.write("train-images-idx3-ubyte", kImages);
  EXPECT_NE(message_of<DataError>([&] { load(folder); }).find("expected train-labels-idx*"),
            std::string::npos);
  folder.write("train-labels-idx1-ubyte", kLabels);
  folder.write("t10k-images-idx3-ubyte", kImages);
  EXPECT_NE(message_of<DataError>([&] { load(folder); }).find("expected t10k-labels-idx*"),
            std::string::npos);
}

TEST(IdxFolderTest, TestImagesOfAnotherShapeAreRefused) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("train-labels-idx1-ubyte", kLabels);
  folder.write("t10k-images-idx3-ubyte", idx(0x08, {1, 1, 2}, "zz"));
  folder.write("t10k-labels-idx1-ubyte", idx(0x08, {1}, "\1"));
  EXPECT_NE(
      message_of<DataError>([&] { load(folder); }).find("expected images like the training ones"),
      std::string::npos);
}

TEST(IdxFolderTest, LabelsOutOfRangeAreRefused) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte", idx(0x08, {1, 1, 1}, "a"));
  for (const std::uint32_t label : {0xFFFFFFFFU, 65'536U}) {
    folder.write("train-labels-idx1-int", idx(0x0C, {1}, big_endian(label)));
    EXPECT_NE(message_of<DataError>([&] { load(folder); }).find("expected values in [0, 65536)"),
              std::string::npos);
  }
}

TEST(IdxFolderTest, DamagedImageFilesNeverCrash) {
  const DataFolder folder;
  folder.write("train-labels-idx1-ubyte", kLabels);
  const auto load_damaged = [&](const Bytes& damaged) {
    folder.write("train-images-idx3-ubyte", damaged);
    return *load(folder);
  };
  attack(kImages, 1000, true, load_damaged);
}

TEST(FashionMnistTest, InstalledFilesAreTheRealOnes) {
  if (locate_dataset("fashion_mnist").empty())
    GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto dataset = load_dataset({.name = "fashion_mnist"});
  EXPECT_EQ(dataset->train.size, 60'000);
  EXPECT_EQ(dataset->test.size, 10'000);
  EXPECT_EQ(dataset->classes, 10);
  EXPECT_EQ(dataset->sample_shape, (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_EQ(std::count(dataset->train.labels.begin(), dataset->train.labels.end(), 7), 6'000);
  ASSERT_EQ(dataset->label_names.size(), 10U);
  EXPECT_EQ(dataset->label_names[static_cast<std::size_t>(dataset->train.labels[0])], "Ankle boot");
}

TEST(FashionMnistTest, AnotherFileIsRefusedByItsDigestAlsoUnderDataRoot) {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte.gz", gzip(kImages));
  const std::string message = message_of<DataError>([&] { load(folder, "fashion_mnist"); });
  EXPECT_NE(message.find((folder.path() / "train-images-idx3-ubyte.gz").string()),
            std::string::npos)
      << message;
  EXPECT_NE(message.find(
                "expected sha256 c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("got " + sha256_hex(bytes_of(kImages))), std::string::npos) << message;
}

TEST(FashionMnistTest, MissingFileUnderDataRootIsNamed) {
  const DataFolder folder;
  EXPECT_NE(message_of<DataError>([&] {
              load(folder, "fashion_mnist");
            }).find("expected train-images-idx3-ubyte[.gz] in"),
            std::string::npos);
}

}  // namespace
}  // namespace coppice
