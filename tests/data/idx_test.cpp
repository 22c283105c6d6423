#include "data/idx.h"

#include "data/image_files.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

IdxArray parse(const Bytes& bytes) {
  MemorySource source(bytes);
  return read_idx(source);
}

TEST(IdxTest, BytesOfAnyRankAreRead) {
  for (std::size_t rank : {1U, 2U, 3U, 5U, 200U}) {
    std::vector<std::uint32_t> shape(rank, 1);
    shape.back() = 3;
    const IdxArray array = parse(idx(0x08, shape, "\x01\x02\xFF"));
    EXPECT_EQ(array.shape.size(), rank);
    EXPECT_EQ(array.size(), 3);
    EXPECT_EQ(array.to_int32(), (std::vector{1, 2, 255}));
  }
}

TEST(IdxTest, Int32IsBigEndianAndSigned) {
  const IdxArray array = parse(idx(0x0C, {2, 1}, big_endian(258) + big_endian(0xFFFFFFFE)));
  EXPECT_EQ(array.to_int32(), (std::vector{258, -2}));
  EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 1}));
}

TEST(IdxTest, ForeignHeadersAreRefused) {
  EXPECT_THROW(parse(""), DataError);
  EXPECT_THROW(parse(idx(0x0D, {1}, "1234")), DataError);  // floats
  EXPECT_THROW(parse(idx(0x08, {}, "")), DataError);       // rank 0
  EXPECT_THROW(parse("\x89PNG\r\n\x1a\n0000000000000"), DataError);
}

TEST(IdxTest, MissingAndTrailingBytesAreRefusedWithTheirNumbers) {
  EXPECT_EQ(message_of<DataError>([] {
              parse(idx(0x08, {2, 3}, "12345"));
            }),
            "memory: truncated: expected 6 bytes of IDX elements, got 5");
  EXPECT_NE(message_of<DataError>([] {
              parse(idx(0x08, {2, 3}, "1234567"));
            }).find("got more bytes"),
            std::string::npos);
}

TEST(IdxTest, SizesThatOverflowAreRefusedEvenBesideAnEmptyAxis) {
  EXPECT_THROW(parse(idx(0x08, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "")), DataError);
  EXPECT_THROW(parse(idx(0x0C, {0, 0xFFFFFFFF, 0xFFFFFFFF}, "")), DataError);
  EXPECT_EQ(parse(idx(0x08, {0, 28, 28}, "")).size(), 0);
}

TEST(IdxTest, EveryTruncationFailsAndNoBitFlipCrashes) {
  Bytes bytes = idx(0x0C, {3, 2}, {});
  for (std::uint32_t i = 0; i < 6; ++i) bytes += big_endian(i);
  attack(bytes, 3000, true, [](const Bytes& damaged) {
    parse(damaged).to_int32();
    return Dataset{};
  });
}

TEST(ImageFilesTest, ChannelsMoveToTheFront) {
  // Two images of 1 x 2 pixels with 3 channels.
  IdxArray images = parse(idx(0x08, {2, 1, 2, 3}, "rgbRGBxyzXYZ"));
  EXPECT_EQ(image_shape(images, "images"), (std::vector<std::int64_t>{3, 1, 2}));
  std::vector<std::string> clients;
  const Split split =
      image_split(std::move(images), parse(idx(0x08, {2}, Bytes("\0\1", 2))), "labels", clients);
  EXPECT_EQ(std::string(split.uint8s.begin(), split.uint8s.end()), "rRgGbBxXyYzZ");
  EXPECT_EQ(split.labels, (std::vector{0, 1}));
  EXPECT_TRUE(split.client_keys.empty());
}

TEST(ImageFilesTest, QmnistLabelsNameWritersAsClients) {
  Bytes labels;
  for (const std::uint32_t writer : {2110U, 7U, 2110U}) {
    for (std::uint32_t column = 0; column < 8; ++column)
      labels += big_endian(column == 0 ? writer % 10 : column == 2 ? writer : 99);
  }
  std::vector<std::string> clients;
  const Split split = image_split(parse(idx(0x08, {3, 1}, "abc")), parse(idx(0x0C, {3, 8}, labels)),
                                  "labels", clients);
  EXPECT_EQ(split.labels, (std::vector{0, 7, 0}));
  EXPECT_EQ(split.client_keys, (std::vector{0, 1, 0}));
  EXPECT_EQ(clients, (std::vector<std::string>{"writer 2110", "writer 7"}));
}

TEST(ImageFilesTest, LabelsOfAnotherCountOrRankAreRefused) {
  std::vector<std::string> clients;
  const auto split_with = [&](const Bytes& labels) {
    return image_split(parse(idx(0x08, {2, 1}, "ab")), parse(labels), "some-labels", clients);
  };
  EXPECT_EQ(message_of<DataError>([&] { split_with(idx(0x08, {3}, "123")); }),
            "some-labels: expected 2 labels, one an image, got 3");
  EXPECT_EQ(message_of<DataError>([&] {
              split_with(idx(0x08, {2, 1}, "12"));
            }),
            "some-labels: expected labels of rank 1, got 2 x 1");
}

}  // namespace
}  // namespace coppice
