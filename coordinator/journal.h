#pragma once
// The journal: an append-only file of records, each a text of its writer's (one commit). A record
// that the writer has synced survives a crash; one that was being written is cut when the file is
// read again; anything else that does not read back as written is refused. One writer a file; the
// run folder's lock sees to it.
//
// Layout, little-endian: magic "CPJ1" u32 | payload length u32 | CRC-32C of these 8 bytes u32 |
// CRC-32C of the payload u32 | payload. The header has a checksum of its own so that a damaged
// length cannot pass for a torn record.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "coordinator/durable_file.h"

namespace coppice {

inline constexpr std::int64_t kJournalHeaderBytes = 16;
inline constexpr std::int64_t kMaxJournalPayloadBytes = std::int64_t{1} << 28;

struct JournalContents {
  std::vector<std::string> records;
  std::int64_t intact_bytes = 0;  // the records and their headers
  std::int64_t torn_bytes = 0;    // after them: the beginning of a record that was never finished
};

// Reads a whole journal. Throws DataError if there is no such file, and for any damage but a torn
// end, naming file, offset, expected and got.
JournalContents read_journal(const std::filesystem::path& path);

// The same of bytes in memory; `path` is for the message.
JournalContents parse_journal(std::span<const std::uint8_t> bytes,
                              const std::filesystem::path& path);

class JournalWriter {
 public:
  // Creates the file if it is missing and goes on after its first `keep_bytes` bytes
  // (JournalContents::intact_bytes; 0 starts afresh), cutting the rest. fsync comes after every
  // append, or after every `lag` + 1 of them: the last `lag` records may be lost when the machine,
  // not just the process, goes down.
  JournalWriter(std::filesystem::path path, std::int64_t keep_bytes, int lag = 0);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Appends one record of at most kMaxJournalPayloadBytes. If the write fails the file is cut back
  // to the records before it and Error is thrown. Failpoint during_commit dies with half of the
  // record written.
  void append(std::string_view payload);

  // Makes every record durable now. The destructor does so too, but cannot report a failure.
  void sync();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::int64_t size_bytes_;
  int lag_;
  int unsynced_records_ = 0;
};

}  // namespace coppice
