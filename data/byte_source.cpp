#include "data/byte_source.h"

#include <zlib.h>

#include <algorithm>  // for min
#include <array>      // for array
#include <cerrno>     // for errno
#include <cstring>    // for strerror

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20U;
constexpr std::size_t kTextChunkBytes = std::size_t{1} << 16U;  // texts may be tiny

// zlib's gzFile reads plain files as they are.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::filesystem::path& path) : name_(path.string()) {
    if (std::filesystem::is_directory(path))
      throw DataError(name_ + ": expected a file, got a folder");
    errno = 0;
    file_.reset(gzopen(name_.c_str(), "rb"));
    if (!file_)
      throw DataError(text(name_, ": cannot open: ", std::strerror(errno == 0 ? ENOMEM : errno)));
    gzbuffer(file_.get(), 128 * 1024);
    if (path.extension() == ".gz" && gzdirect(file_.get()) != 0) {
      throw DataError(name_ + ": expected gzip data, got something else");
    }
  }

  std::size_t read(std::span<std::uint8_t> out) override {
    std::size_t total = 0;
    while (total < out.size()) {
      const auto want = static_cast<unsigned>(std::min(out.size() - total, kChunkBytes));
      const int got = gzread(file_.get(), out.data() + total, want);
      if (got > 0) total += static_cast<std::size_t>(got);
      if (got < static_cast<int>(want)) {
        check_error();
        break;
      }
    }
    return total;
  }

  const std::string& name() const override { return name_; }

 private:
  void check_error() {
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (code == Z_OK || code == Z_STREAM_END) return;
    throw DataError(
        text(name_, ": cannot read: ", code == Z_ERRNO ? std::strerror(errno) : message));
  }

  struct Close {
    // Every read was checked, so the status of closing a file that was only read says nothing new.
    void operator()(gzFile_s* file) const { gzclose_r(file); }
  };

  std::string name_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace

std::unique_ptr<ByteSource> open_file(const std::filesystem::path& path) {
  return std::make_unique<FileSource>(path);
}

void append_exactly(ByteSource& source, std::uint64_t count, std::string_view what,
                    std::vector<std::uint8_t>& to) {
  for (std::uint64_t done = 0; done < count;) {
    const std::size_t chunk =
        static_cast<std::size_t>(std::min<std::uint64_t>(count - done, kChunkBytes));
    const std::size_t old_size = to.size();
    to.resize(old_size + chunk);
    const std::size_t got = source.read({to.data() + old_size, chunk});
    done += got;
    if (got == chunk) continue;
    throw DataError(
        text(source.name(), ": truncated: expected ", count, " bytes of ", what, ", got ", done));
  }
}

void expect_end(ByteSource& source) {
  std::array<std::uint8_t, 1> extra{};
  if (source.read(extra) == 0) return;
  throw DataError(source.name() +
                  ": expected the end of the data, got more bytes than the header says");
}

std::string read_text(ByteSource& source, std::size_t limit_bytes) {
  std::string all;
  std::vector<std::uint8_t> chunk(kTextChunkBytes);
  while (true) {
    const std::size_t got = source.read(chunk);
    all.append(chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got));
    if (all.size() > limit_bytes) {
      throw DataError(
          text(source.name(), ": expected at most ", limit_bytes, " bytes of text, got more"));
    }
    if (got < chunk.size()) return all;
  }
}

}  // namespace coppice
