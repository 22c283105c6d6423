#include "data/npy.h"

#include "data/array_dataset.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

NpyArray parse(const Bytes& bytes) {
  MemorySource source(bytes);
  return read_npy(source);
}

Bytes floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TEST(NpyTest, EveryNumericTypeIsRead) {
  EXPECT_EQ(parse(npy("|u1", "(2,)", "\x01\xFF")).to_int32(), (std::vector{1, 255}));
  EXPECT_EQ(parse(npy("<i4", "(1, 1)", little_endian(0xFFFFFFFF, 4))).to_int32(), std::vector{-1});
  EXPECT_EQ(parse(npy("<i8", "(1,)", little_endian(70'000, 8))).to_int32(), std::vector{70'000});
  EXPECT_EQ(parse(npy("<f4", "(2,)", floats({0.5F, -3.0F}))).to_float32(),
            (std::vector{0.5F, -3.0F}));
  EXPECT_EQ(parse(npy("<f8", "(1,)", little_endian(0x3FF8000000000000, 8))).to_float32(),
            std::vector{1.5F});
  EXPECT_EQ(parse(npy("<i4", "()", little_endian(5, 4))).to_int32(), std::vector{5});
}

TEST(NpyTest, StringsAreReadWithoutTheirPadding) {
  EXPECT_EQ(parse(npy("|S3", "(2,)", Bytes("ab\0xyz", 6))).to_strings(),
            (std::vector<std::string>{"ab", "xyz"}));
  const Bytes code_points = little_endian('a', 4) + little_endian(0xE9, 4) +
                            little_endian(0x20AC, 4) + little_endian(0x1F600, 4) +
                            little_endian(0, 4) + little_endian(0, 4);
  EXPECT_EQ(parse(npy("<U6", "(1,)", code_points)).to_strings(),
            std::vector<std::string>{"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"});
  EXPECT_EQ(parse(npy("<i4", "(1,)", little_endian(12, 4))).to_strings(),
            std::vector<std::string>{"12"});
  EXPECT_THROW(parse(npy("<U1", "(1,)", little_endian(0xD800, 4))).to_strings(), DataError);
}

TEST(NpyTest, Version2HeadersAreRead) {
  const Bytes version1 = npy("|u1", "(1,)", "x");
  Bytes version2 = version1;
  version2[6] = '\2';
  version2.insert(10, 2, '\0');
  EXPECT_EQ(parse(version2).size(), 1);
}

TEST(NpyTest, OtherTypesOrdersAndKeysAreRefused) {
  for (const char* descr :
       {">f4", "<f2", "<u2", "<c8", "|O", "<i1", "|b1", "<U0", "<U99999999999999999999", "", "f"}) {
    EXPECT_THROW(parse(npy(descr, "(0,)", "")), DataError) << descr;
  }
  Bytes fortran = npy("|u1", "(1,)", "x");
  fortran.replace(fortran.find("False"), 5, "True ");
  EXPECT_NE(message_of<DataError>([&] { parse(fortran); }).find("Fortran order"),
            std::string::npos);
  Bytes other = npy("|u1", "(1,)", "x");
  other.replace(other.find("shape"), 5, "shade");
  EXPECT_THROW(parse(other), DataError);
}

TEST(NpyTest, ShapesThatOverflowOrLieAreRefused) {
  EXPECT_THROW(parse(npy("<f8", "(4611686018427387904, 4)", "")), DataError);
  EXPECT_THROW(parse(npy("<f8", "(0, 4611686018427387904, 4611686018427387904)", "")), DataError);
  EXPECT_THROW(parse(npy("|u1", "(99999999999999999999,)", "")), DataError);
  EXPECT_THROW(parse(npy("|u1", "(-1,)", "")), DataError);
  EXPECT_THROW(parse(npy("|u1", "(1000000000,)", "abc")), DataError);
  EXPECT_THROW(parse(npy("|u1", "(2,)", "abc")), DataError);
}

TEST(NpyTest, NonFiniteAndTooWideValuesAreRefusedByTheirPlace) {
  const auto infinite =
      parse(npy("<f4", "(2,)", floats({1.0F, std::numeric_limits<float>::infinity()})));
  EXPECT_EQ(message_of<DataError>([&] { infinite.to_float32(); }),
            "memory: element 1: expected a finite fp32, got inf");
  EXPECT_THROW(parse(npy("<f8", "(1,)", little_endian(0x7FE0000000000000, 8))).to_float32(),
               DataError);
  EXPECT_THROW(parse(npy("<i8", "(1,)", little_endian(std::uint64_t{1} << 32U, 8))).to_int32(),
               DataError);
  EXPECT_THROW(parse(npy("<f4", "(1,)", floats({1.0F}))).to_int32(), DataError);
}

TEST(NpyTest, EveryTruncationFailsAndNoBitFlipCrashes) {
  attack(npy("<U2", "(3,)", Bytes(24, '\0')), 4000, true, [](const Bytes& damaged) {
    const NpyArray array = parse(damaged);
    if (array.kind != 'f') array.to_strings();
    return Dataset{};
  });
}

NamedArrays small_arrays() {
  return {
      .x = parse(npy("<f4", "(4, 2)", floats({0, 1, 10, 11, 20, 21, 30, 31}))),
      .y = parse(npy("<i4", "(4,)",
                     little_endian(0x0000000100000000, 8) + little_endian(0x0000000200000001, 8)))};
}

// The bytes of numpy.save for numpy.array([[0.5, -3]], dtype="<f4"), made with numpy.
TEST(NpyTest, WrittenBytesAreThoseOfNumpy) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  const Bytes expected = Bytes("\x93NUMPY\1\0\x76\0", 10) + header +
                         Bytes(0x76 - header.size() - 1, ' ') + '\n' + floats({0.5F, -3.0F});
  const std::vector<std::uint8_t> bytes =
      npy_bytes(std::vector{0.5F, -3.0F}, std::vector<std::int64_t>{1, 2});
  EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), expected);
}

TEST(NpyTest, WhatIsWrittenIsReadBack) {
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{},
                                                 {3},
                                                 {0},
                                                 {2, 0, 5},
                                                 {2, 3, 4},
                                                 std::vector<std::int64_t>(20, 1)}) {
    std::size_t size = 1;
    for (const std::int64_t axis : shape) size *= static_cast<std::size_t>(axis);
    std::vector<float> values(size);
    for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i) - 1.5F;
    const std::vector<std::uint8_t> bytes = npy_bytes(values, shape);
    const NpyArray array = parse(Bytes(bytes.begin(), bytes.end()));
    EXPECT_EQ((bytes.size() - values.size() * sizeof(float)) % 64, 0U);
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.to_float32(), values);
  }
  EXPECT_THROW(npy_bytes(std::vector{1.0F}, std::vector<std::int64_t>{2}), ConfigError);
}

TEST(ArrayDatasetTest, FloatVectorsAreTakenAsTheyAre) {
  const Dataset dataset = dataset_from_arrays(small_arrays(), 0.0, "arrays");
  EXPECT_EQ(dataset.type, SampleType::kFloat32);
  EXPECT_EQ(dataset.sample_shape, std::vector<std::int64_t>{2});
  EXPECT_EQ(dataset.classes, 3);
  EXPECT_EQ(dataset.train.labels, (std::vector{0, 1, 1, 2}));
  EXPECT_EQ(dataset.train.float32s[7], 31.0F);
  EXPECT_EQ(dataset.test.size, 0);
}

TEST(ArrayDatasetTest, EveryClientKeepsATrainingSampleWhenTheTestSplitIsTaken) {
  NamedArrays arrays = small_arrays();
  arrays.client = parse(npy("|S1", "(4,)", "abbb"));
  const Dataset dataset = dataset_from_arrays(std::move(arrays), 0.7, "arrays");
  EXPECT_EQ(dataset.client_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(dataset.train.client_keys, (std::vector{0, 1}));
  EXPECT_EQ(dataset.test.client_keys, (std::vector{1, 1}));
}

TEST(ArrayDatasetTest, IntegerSamplesAreTokenIdsWithALabelEach) {
  NamedArrays arrays{.x = parse(npy("<i4", "(1, 2)", little_endian(3, 4) + little_endian(6, 4))),
                     .y = parse(npy("<i4", "(1, 2)", little_endian(6, 4) + little_endian(1, 4)))};
  const Dataset dataset = dataset_from_arrays(std::move(arrays), 0.2, "arrays");
  EXPECT_EQ(dataset.type, SampleType::kInt32);
  EXPECT_EQ(dataset.vocabulary, 7);
  EXPECT_EQ(dataset.labels_per_sample, 2);
}

TEST(ArrayDatasetTest, ArraysThatDoNotFitAreRefused) {
  NamedArrays rank3 = small_arrays();
  rank3.x.shape = {2, 2, 2};
  EXPECT_NE(message_of<DataError>([&] { dataset_from_arrays(rank3, 0.2, "a"); }).find("got rank 3"),
            std::string::npos);
  NamedArrays short_y = small_arrays();
  short_y.y = parse(npy("|u1", "(3,)", "\1\1\1"));
  EXPECT_NE(message_of<DataError>([&] {
              dataset_from_arrays(short_y, 0.2, "a");
            }).find("expected 4 x 1 labels"),
            std::string::npos);
  NamedArrays short_client = small_arrays();
  short_client.client = parse(npy("|u1", "(3,)", "\1\1\1"));
  EXPECT_THROW(dataset_from_arrays(short_client, 0.2, "a"), DataError);
  NamedArrays lone_test = small_arrays();
  lone_test.x_test = lone_test.x;
  EXPECT_NE(message_of<DataError>([&] {
              dataset_from_arrays(lone_test, 0.2, "a");
            }).find("got x_test only"),
            std::string::npos);
  NamedArrays no_labels = small_arrays();
  no_labels.y = parse(npy("|u1", "(4, 0)", ""));
  EXPECT_THROW(dataset_from_arrays(no_labels, 0.2, "a"), DataError);
}

}  // namespace
}  // namespace coppice
