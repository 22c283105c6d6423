#include "coordinator/durable_file.h"

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "core/digest.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/file.h"
#include "tests/coordinator/temporary_folder.h"

namespace coppice {
namespace {

TEST(DurableFileTest, ReplacedFileHoldsTheNewBytesAndNoTemporaryStays) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  write_file_atomically(path, "first");
  write_file_atomically(path, "second");
  EXPECT_EQ(content_of(path), "second");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "file.tmp"));
}

TEST(DurableFileTest, ReadFileGivesEveryByte) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  const std::string bytes("\0\n\xFFz", 4);
  write_file_atomically(path, bytes);
  const auto read = read_file(path);
  EXPECT_EQ(std::string(read.begin(), read.end()), bytes);
}

TEST(DurableFileTest, PathsThatCannotBeWrittenAreNamed) {
  const TemporaryFolder folder;
  const auto missing = folder.path() / "no" / "file";
  const auto message = message_of<ConfigError>([&] { write_file_atomically(missing, "x"); });
  EXPECT_NE(message.find(missing.string()), std::string::npos) << message;
  EXPECT_NE(message.find("No such file or directory"), std::string::npos) << message;
  std::filesystem::create_directories(folder.path() / "taken" / "inside");
  EXPECT_THROW(write_file_atomically(folder.path() / "taken", "x"), ConfigError);
  EXPECT_THROW(read_file(missing), DataError);
  EXPECT_THROW(read_file(folder.path()), DataError);
}

TEST(DurableFileDeathTest, DeathHalfWayLeavesTheOldBytes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  write_file_atomically(path, "old");
  const auto die = [&] {
    setenv("COPPICE_FAILPOINT", "during_checkpoint:1", 1);
    arm_failpoints();
    write_file_atomically(path, bytes_of("new bytes!"), FailpointName("during_checkpoint"));
  };
  EXPECT_EXIT(die(), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(content_of(folder.path() / "file.tmp"), "new b");
  write_file_atomically(path, "newest");
  EXPECT_EQ(content_of(path), "newest");
}

TEST(DurableFileDeathTest, FullDiskIsNamedAndLeavesTheOldBytes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  write_file_atomically(path, "old");
  const auto fill = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message =
        message_of<Error>([&] { write_file_atomically(path, std::string(200, 'x')); });
    const bool is_named =
        message.find("file.tmp': File too large (100 of 200 bytes written)") != std::string::npos;
    std::_Exit(is_named ? 0 : 1);
  };
  EXPECT_EXIT(fill(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(content_of(path), "old");
}

}  // namespace
}  // namespace coppice
