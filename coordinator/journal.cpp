#include "coordinator/journal.h"

#include <fcntl.h>   // for O_RDWR
#include <unistd.h>  // for ftruncate, lseek

#include <algorithm>  // for equal, min
#include <cerrno>     // for errno

#include "core/digest.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/file.h"
#include "core/text.h"

namespace coppice {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t kMagic = 0x314A5043;  // "CPJ1"
constexpr auto kHeaderBytes = static_cast<std::size_t>(kJournalHeaderBytes);

void put_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

std::uint32_t get_u32(Bytes in) {
  return in[0] | std::uint32_t{in[1]} << 8U | std::uint32_t{in[2]} << 16U |
         std::uint32_t{in[3]} << 24U;
}

std::vector<std::uint8_t> header_of(std::string_view payload) {
  std::vector<std::uint8_t> header;
  put_u32(header, kMagic);
  put_u32(header, static_cast<std::uint32_t>(payload.size()));
  put_u32(header, crc32c(header));
  put_u32(header, crc32c(bytes_of(payload)));
  return header;
}

// Reads records one after the other; knows where it is for the message.
class Reader {
 public:
  Reader(Bytes bytes, const std::filesystem::path& path) : bytes_(bytes), path_(path) {}

  JournalContents read() {
    JournalContents contents;
    while (offset_ < bytes_.size()) {
      const Bytes rest = bytes_.subspan(offset_);
      if (is_torn(rest)) break;
      const Bytes payload = rest.subspan(kHeaderBytes, get_u32(rest.subspan(4)));
      expect("payload checksum", get_u32(rest.subspan(12)), crc32c(payload));
      contents.records.emplace_back(payload.begin(), payload.end());
      offset_ += kHeaderBytes + payload.size();
    }
    contents.intact_bytes = static_cast<std::int64_t>(offset_);
    contents.torn_bytes = static_cast<std::int64_t>(bytes_.size() - offset_);
    return contents;
  }

 private:
  // Whether the file ends inside the record that `rest` begins with. What is there of its header
  // must be right.
  bool is_torn(Bytes rest) const {
    std::vector<std::uint8_t> magic;
    put_u32(magic, kMagic);
    const std::size_t seen = std::min(rest.size(), magic.size());
    if (!std::equal(magic.begin(), magic.begin() + static_cast<std::ptrdiff_t>(seen),
                    rest.begin())) {
      fail(text("expected the record mark ", hex(Bytes(magic).first(seen)), ", got ",
                hex(rest.first(seen))));
    }
    if (rest.size() < 12) return true;
    expect("header checksum", get_u32(rest.subspan(8)), crc32c(rest.first(8)));
    const std::uint32_t length = get_u32(rest.subspan(4));
    if (length > kMaxJournalPayloadBytes) {
      fail(text("expected a payload of at most ", kMaxJournalPayloadBytes,
                " bytes, got a length of ", length));
    }
    return rest.size() < kHeaderBytes + length;
  }

  void expect(std::string_view what, std::uint32_t stored, std::uint32_t computed) const {
    if (stored != computed)
      fail(text(what, ": expected ", stored, " as stored, got ", computed, " from the bytes"));
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(
        text("journal '", path_.string(), "' is damaged at byte ", offset_, ": ", what));
  }

  Bytes bytes_;
  const std::filesystem::path& path_;
  std::size_t offset_ = 0;  // of the record being read
};

}  // namespace

JournalContents parse_journal(Bytes bytes, const std::filesystem::path& path) {
  return Reader(bytes, path).read();
}

JournalContents read_journal(const std::filesystem::path& path) {
  return parse_journal(read_file(path), path);
}

JournalWriter::JournalWriter(std::filesystem::path path, std::int64_t keep_bytes, int lag)
    : path_(std::move(path)),
      file_(open_file(path_, O_RDWR | O_CREAT)),
      size_bytes_(keep_bytes),
      lag_(lag) {
  const std::int64_t found_bytes = ::lseek(file_.get(), 0, SEEK_END);
  if (keep_bytes < 0 || keep_bytes > found_bytes) {
    throw DataError(text("journal '", path_.string(), "': expected at least ", keep_bytes,
                         " bytes, got ", found_bytes));
  }
  if (::ftruncate(file_.get(), keep_bytes) != 0 ||
      ::lseek(file_.get(), keep_bytes, SEEK_SET) != keep_bytes) {
    throw Error(text("cannot cut '", path_.string(), "' to ", keep_bytes,
                     " bytes: ", system_reason(errno)));
  }
  sync();
  sync_folder(path_.parent_path());
}

JournalWriter::~JournalWriter() {
  try {
    if (unsynced_records_ > 0) sync();
  } catch (const Error&) {  // whoever must know has called sync()
  }
}

void JournalWriter::append(std::string_view payload) {
  if (static_cast<std::int64_t>(payload.size()) > kMaxJournalPayloadBytes) {
    throw Error(text("journal '", path_.string(), "': expected a record of at most ",
                     kMaxJournalPayloadBytes, " bytes, got ", payload.size()));
  }
  std::vector<std::uint8_t> header = header_of(payload);
  if (failpoint_is_due("during_commit")) {
    header.insert(header.end(), payload.begin(), payload.end());
    write_all(file_, Bytes(header).first(header.size() / 2), path_);
    die_at_failpoint();
  }
  try {
    write_all(file_, header, path_);
    write_all(file_, bytes_of(payload), path_);
  } catch (const Error&) {
    // No later append may bury half a record: cut it, or else write no more, and read_journal will
    // cut it.
    const bool is_cut = ::ftruncate(file_.get(), size_bytes_) == 0 &&
                        ::lseek(file_.get(), size_bytes_, SEEK_SET) == size_bytes_;
    if (!is_cut) file_ = FileDescriptor();
    throw;
  }
  size_bytes_ += static_cast<std::int64_t>(header.size() + payload.size());
  ++unsynced_records_;
  if (unsynced_records_ > lag_) sync();
}

void JournalWriter::sync() {
  sync_file(file_, path_);
  unsynced_records_ = 0;
}

}  // namespace coppice
