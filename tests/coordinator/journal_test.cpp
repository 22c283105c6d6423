#include "coordinator/journal.h"

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "core/digest.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "tests/coordinator/temporary_folder.h"

namespace coppice {
namespace {

const std::vector<std::string> kRecords{R"({"round":1})", "", std::string("\0\xFF\n", 3),
                                        std::string(100, 'x'), "last"};

class JournalTest : public testing::Test {
 protected:
  void write(const std::vector<std::string>& records, int lag = 0) const {
    JournalWriter writer(path_, 0, lag);
    for (const std::string& record : records) writer.append(record);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "journal.bin";
};

using JournalDeathTest = JournalTest;

std::string error_for(const std::filesystem::path& path) {
  return message_of<DataError>([&] { read_journal(path); });
}

TEST_F(JournalTest, RecordsReadBackAsWritten) {
  write(kRecords);
  const JournalContents contents = read_journal(path_);
  EXPECT_EQ(contents.records, kRecords);
  EXPECT_EQ(contents.torn_bytes, 0);
  EXPECT_EQ(contents.intact_bytes, static_cast<std::int64_t>(std::filesystem::file_size(path_)));
}

TEST_F(JournalTest, BytesOfARecordAreThoseTheHeaderPromises) {
  write({"ab"});
  const std::string bytes = content_of(path_);
  ASSERT_EQ(bytes.size(), 18U);
  EXPECT_EQ(bytes.substr(0, 8), std::string("CPJ1\2\0\0\0", 8));
  const std::uint32_t payload_crc = crc32c(bytes_of("ab"));
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(static_cast<std::uint8_t>(bytes[12 + i]),
              static_cast<std::uint8_t>(payload_crc >> (8 * i)));
  }
  EXPECT_EQ(bytes.substr(16), "ab");
}

TEST_F(JournalTest, TruncationAtEveryByteGivesExactlyTheIntactPrefix) {
  write(kRecords);
  const std::string whole = content_of(path_);
  std::vector<std::size_t> ends{0};
  for (const std::string& record : kRecords)
    ends.push_back(ends.back() + kJournalHeaderBytes + record.size());
  ASSERT_EQ(ends.back(), whole.size());
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    std::size_t intact = 0;
    while (intact < kRecords.size() && ends[intact + 1] <= length) ++intact;
    const JournalContents contents = parse_journal(bytes_of(whole).first(length), path_);
    ASSERT_EQ(
        contents.records,
        std::vector(kRecords.begin(), kRecords.begin() + static_cast<std::ptrdiff_t>(intact)));
    ASSERT_EQ(contents.intact_bytes, static_cast<std::int64_t>(ends[intact]));
    ASSERT_EQ(contents.torn_bytes, static_cast<std::int64_t>(length - ends[intact]));
  }
}

TEST_F(JournalTest, EveryFlippedBitIsDamageThatNamesFileAndOffset) {
  write(kRecords);
  const std::string whole = content_of(path_);
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const std::string message =
        message_of<DataError>([&] { parse_journal(bytes_of(flipped), path_); });
    ASSERT_NE(message.find(path_.string()), std::string::npos) << "bit " << bit;
    ASSERT_NE(message.find("damaged at byte "), std::string::npos) << message;
    ASSERT_NE(message.find("expected"), std::string::npos) << message;
  }
}

TEST_F(JournalTest, AbsurdLengthWithARightChecksumIsDamage) {
  std::vector<std::uint8_t> header{'C', 'P', 'J', '1', 1, 0, 0, 0xF0};
  const std::uint32_t crc = crc32c(header);
  for (unsigned shift = 0; shift < 32; shift += 8)
    header.push_back(static_cast<std::uint8_t>(crc >> shift));
  header.resize(kJournalHeaderBytes);
  put(path_, std::string(header.begin(), header.end()));
  EXPECT_NE(error_for(path_).find("at most 268435456 bytes, got a length of 4026531841"),
            std::string::npos)
      << error_for(path_);
}

TEST_F(JournalTest, MissingFileIsNamed) {
  EXPECT_NE(error_for(path_).find(path_.string()), std::string::npos);
}

TEST_F(JournalTest, WriterGoesOnAfterTheIntactPartAndCutsTheTornRest) {
  write({"one", "two"});
  const std::string whole = content_of(path_);
  put(path_, whole.substr(0, whole.size() - 1));
  const JournalContents torn = read_journal(path_);
  EXPECT_GT(torn.torn_bytes, 0);
  {
    JournalWriter writer(path_, torn.intact_bytes);
    EXPECT_EQ(read_journal(path_).torn_bytes, 0);
    writer.append("three");
  }
  EXPECT_EQ(read_journal(path_).records, (std::vector<std::string>{"one", "three"}));
}

TEST_F(JournalTest, WriterRefusesToKeepMoreThanThereIs) {
  write({"one"});
  EXPECT_THROW(JournalWriter(path_, 1000), DataError);
  EXPECT_THROW(JournalWriter(path_, -1), DataError);
  EXPECT_EQ(read_journal(path_).records, std::vector<std::string>{"one"});
}

TEST_F(JournalTest, LaggingWriterWritesTheSameBytes) {
  write(kRecords);
  const std::string promptly = content_of(path_);
  write(kRecords, 3);
  EXPECT_EQ(content_of(path_), promptly);
}

TEST_F(JournalDeathTest, DeathDuringACommitLeavesTheRecordsBeforeIt) {
  const auto die = [this] {
    setenv("COPPICE_FAILPOINT", "during_commit:3", 1);
    arm_failpoints();
    write(kRecords);
  };
  EXPECT_EXIT(die(), testing::KilledBySignal(SIGKILL), "");
  const JournalContents contents = read_journal(path_);
  EXPECT_EQ(contents.records, std::vector(kRecords.begin(), kRecords.begin() + 2));
  EXPECT_EQ(contents.torn_bytes, (kJournalHeaderBytes + 3) / 2);
}

// A file-size limit stands for a full disk; in a child process, because a limit cannot be raised
// again.
TEST_F(JournalDeathTest, FullDiskIsAnErrorAndLeavesNoHalfRecord) {
  const auto fill = [this] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    JournalWriter writer(path_, 0);
    writer.append("fits");
    const std::string message = message_of<Error>([&] { writer.append(std::string(200, 'x')); });
    writer.append("fits again");
    std::_Exit(message.find(path_.string() + "': File too large") != std::string::npos ? 0 : 1);
  };
  EXPECT_EXIT(fill(), testing::ExitedWithCode(0), "");
  const JournalContents contents = read_journal(path_);
  EXPECT_EQ(contents.records, (std::vector<std::string>{"fits", "fits again"}));
  EXPECT_EQ(contents.torn_bytes, 0);
}

}  // namespace
}  // namespace coppice
