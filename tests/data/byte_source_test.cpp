#include "data/byte_source.h"

#include "tests/data/data_files.h"

namespace coppice {
namespace {

std::string contents(const std::filesystem::path& path) {
  return read_text(*open_file(path), 1U << 24U);
}

TEST(ByteSourceTest, PlainAndGzipFilesGiveTheSameBytes) {
  const DataFolder folder;
  Bytes bytes;
  for (int i = 0; i < 2'500'000; ++i) bytes += static_cast<char>(i % 251);
  EXPECT_EQ(contents(folder.write("plain", bytes)), bytes);
  EXPECT_EQ(contents(folder.write("packed.gz", gzip(bytes))), bytes);
  EXPECT_EQ(contents(folder.write("packed_without_suffix", gzip(bytes))), bytes);
}

TEST(ByteSourceTest, MissingFileAndFolderAreRefusedByName) {
  const DataFolder folder;
  const auto missing = folder.path() / "missing.gz";
  EXPECT_EQ(message_of<DataError>([&] { open_file(missing); }),
            missing.string() + ": cannot open: No such file or directory");
  EXPECT_EQ(message_of<DataError>([&] { open_file(folder.path()); }),
            folder.path().string() + ": expected a file, got a folder");
}

TEST(ByteSourceTest, FileNamedGzipThatIsNoneIsRefused) {
  const DataFolder folder;
  EXPECT_THROW(open_file(folder.write("text.gz", "not gzip")), DataError);
  EXPECT_THROW(open_file(folder.write("empty.gz", "")), DataError);
}

TEST(ByteSourceTest, EveryTruncationOfAGzipFileIsAnError) {
  const DataFolder folder;
  const Bytes packed = gzip("some bytes that compress, compress, compress");
  for (std::size_t length = 0; length < packed.size(); ++length) {
    const auto path = folder.write("cut.gz", packed.substr(0, length));
    EXPECT_THROW(contents(path), DataError) << length;
  }
}

TEST(ByteSourceTest, GzipWhoseChecksumIsWrongIsAnError) {
  const DataFolder folder;
  Bytes packed = gzip("some bytes");
  packed[packed.size() - 5] ^= 1;
  EXPECT_THROW(contents(folder.write("wrong.gz", packed)), DataError);
}

TEST(ByteSourceTest, TooMuchTextIsRefusedBeforeItIsAllRead) {
  const DataFolder folder;
  const auto path = folder.write("bomb.gz", gzip(Bytes(8 << 20, 'x')));
  EXPECT_NE(
      message_of<DataError>([&] { read_text(*open_file(path), 1000); }).find("at most 1000 bytes"),
      std::string::npos);
}

TEST(ByteSourceTest, PromiseOfAnExbyteCostsOneChunk) {
  MemorySource source("abc");
  std::vector<std::uint8_t> bytes;
  EXPECT_EQ(message_of<DataError>(
                [&] { append_exactly(source, std::uint64_t{1} << 60U, "elements", bytes); }),
            "memory: truncated: expected 1152921504606846976 bytes of elements, got 3");
  EXPECT_LE(bytes.capacity(), std::size_t{1} << 21U);
}

}  // namespace
}  // namespace coppice
