// The data set `csv`, its reader, and scikit-learn's tables.
#include "data/delimited.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

class CsvTest : public ::testing::Test {
 protected:
  Dataset load(const Bytes& bytes, DatasetRequest request = {}) {
    request.name = "csv";
    request.root = folder_.write("data.csv", bytes);
    return *load_dataset(request);
  }
  std::string refusal(const Bytes& bytes, const DatasetRequest& request = {}) {
    return message_of<DataError>([&] { load(bytes, request); });
  }

  DataFolder folder_;
};

TEST(DelimitedReaderTest, QuotesLineEndsAndEmptyFieldsAreUnderstood) {
  DelimitedReader reader("a,\"b, \"\"c\"\"\",\r\n\n,\"\"\nlast", "t");
  std::vector<std::string> fields;
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"a", "b, \"c\"", ""}));
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"", ""}));
  EXPECT_EQ(reader.where(), "t: line 3");
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, std::vector<std::string>{"last"});
  EXPECT_FALSE(reader.next(fields));
}

TEST(DelimitedReaderTest, QuotesThatDoNotMatchAreRefused) {
  for (const char* line : {"\"open", "\"a\"b,c", "x,\""}) {
    DelimitedReader reader(line, "t");
    std::vector<std::string> fields;
    EXPECT_THROW(reader.next(fields), DataError) << line;
  }
}

TEST_F(CsvTest, NamedLabelsAreClassesInSortedOrder) {
  const Dataset dataset =
      load("x1,label,x2\n1,dog,2\n3,cat,4.5e1\n-5,dog,+6\n", {.test_fraction = 0.0});
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(dataset.train.labels, (std::vector{1, 0, 1}));
  EXPECT_EQ(dataset.train.float32s, (std::vector{1.0F, 2.0F, 3.0F, 45.0F, -5.0F, 6.0F}));
  EXPECT_TRUE(dataset.client_names.empty());
}

TEST_F(CsvTest, IntegerLabelsAreTakenAsTheyAreAndClientsByFirstAppearance) {
  const Dataset dataset =
      load("client,x,label\nward 9,1,0\nward 1,2,4\nward 9,3,2", {.test_fraction = 0.0});
  EXPECT_EQ(dataset.classes, 5);
  EXPECT_EQ(dataset.train.labels, (std::vector{0, 4, 2}));
  EXPECT_EQ(dataset.client_names, (std::vector<std::string>{"ward 9", "ward 1"}));
  EXPECT_EQ(dataset.train.client_keys, (std::vector{0, 1, 0}));
  EXPECT_TRUE(dataset.label_names.empty());
}

TEST_F(CsvTest, ColumnsCanHaveOtherNamesAndTheFileCanBeGzip) {
  const auto path = folder_.write("data.csv.gz", gzip("site,x,y\na,1,0\nb,2,1\n"));
  const auto dataset = load_dataset({.name = "csv",
                                     .root = path,
                                     .test_fraction = 0.0,
                                     .label_column = "y",
                                     .client_column = "site"});
  EXPECT_EQ(dataset->sample_shape, std::vector<std::int64_t>{1});
  EXPECT_EQ(dataset->client_names.size(), 2U);
}

TEST_F(CsvTest, ErrorsNameLineAndColumn) {
  EXPECT_NE(refusal("x,label\n1,0\nabc,1\n")
                .find("line 3, column 'x': expected a finite number, got 'abc'"),
            std::string::npos);
  EXPECT_NE(refusal("x,label\nnan,0\n").find("got 'nan'"), std::string::npos);
  EXPECT_NE(refusal("x,label\n1e99,0\n").find("got '1e99'"), std::string::npos);
  EXPECT_NE(refusal("x,label\n1,0,7\n").find("line 2: expected 2 fields, got 3"),
            std::string::npos);
  EXPECT_NE(refusal("x,lable\n1,0\n").find("unknown column 'label'; did you mean 'lable'?"),
            std::string::npos);
  EXPECT_NE(refusal("x,label\n1,0\n", {.client_column = "x1"}).find("unknown column 'x1'"),
            std::string::npos);
  EXPECT_NE(refusal("x,label\n1,-1\n").find("expected values in [0, 65536), got -1"),
            std::string::npos);
  EXPECT_NE(refusal("x,label\n").find("at least one training sample"), std::string::npos);
  EXPECT_NE(refusal("label\n1\n").find("at least one value"), std::string::npos);
  EXPECT_NE(refusal("").find("expected a header line"), std::string::npos);
}

TEST_F(CsvTest, DamagedFilesNeverCrash) {
  const Bytes bytes = "client,x,\"the y\",label\n\"a\",1.5,2,0\nb,-3,4e2,1\na,5,6,2\n";
  attack(bytes, 1500, false, [&](const Bytes& damaged) { return load(damaged); });
}

class TableTest : public ::testing::Test {
 protected:
  std::unique_ptr<const Dataset> load(const std::string& name, const std::string& file,
                                      const Bytes& bytes) {
    folder_.write(file, bytes);
    return load_dataset({.name = name, .root = folder_.path(), .test_fraction = 0.0});
  }

  DataFolder folder_;
};

std::string digit_row(int pixel, int label) {
  std::string row;
  for (int i = 0; i < 64; ++i) row += std::to_string(pixel) + ",";
  return row + std::to_string(label) + "\n";
}

TEST_F(TableTest, DigitsAreSixteenthsIn8By8) {
  const auto dataset = load("digits", "digits.csv.gz", gzip(digit_row(16, 9) + digit_row(4, 0)));
  EXPECT_EQ(dataset->sample_shape, (std::vector<std::int64_t>{1, 8, 8}));
  EXPECT_EQ(dataset->classes, 10);
  EXPECT_EQ(dataset->train.float32s.front(), 1.0F);
  EXPECT_EQ(dataset->train.float32s.back(), 0.25F);
  EXPECT_EQ(dataset->train.labels, (std::vector{9, 0}));
}

TEST_F(TableTest, DigitsWithALabelOutOfRangeAreRefused) {
  EXPECT_NE(message_of<DataError>([&] {
              load("digits", "digits.csv", digit_row(1, 10));
            }).find("expected a label in [0, 10), got '10'"),
            std::string::npos);
}

TEST_F(TableTest, FirstLineNamesClassesAndCountsSamples) {
  const auto dataset = load("iris", "iris.csv", "2,4,setosa,versicolor\n1,2,3,4,1\n5,6,7,8,0\n");
  EXPECT_EQ(dataset->label_names, (std::vector<std::string>{"setosa", "versicolor"}));
  EXPECT_EQ(dataset->train.labels, (std::vector{1, 0}));
  EXPECT_NE(message_of<DataError>([&] {
              load("iris", "iris.csv", "3,4,a,b\n1,2,3,4,1\n");
            }).find("expected the 3 samples of its first line, got 1"),
            std::string::npos);
  EXPECT_THROW(load("iris", "iris.csv", "3,5,a,b\n1,2,3,4,5,1\n"), DataError);
}

TEST_F(TableTest, InstalledDigitsHaveTheirPublishedSize) {
  if (locate_dataset("digits").empty()) GTEST_SKIP() << "digits.csv.gz is not installed";
  const auto dataset = load_dataset({.name = "digits"});
  EXPECT_EQ(dataset->train.size + dataset->test.size, 1'797);
  EXPECT_EQ(dataset->test.size, 359);
}

}  // namespace
}  // namespace coppice
