#pragma once
// Bytes of a data file, whatever wraps them: a plain file, a gzip file, an entry of a zip archive.
// Readers ask for what a header promises and never allocate more than the source has really given.
// One thread at a time.

#include <cstddef>      // for size_t
#include <cstdint>      // for uint8_t
#include <filesystem>   // for path
#include <memory>       // for unique_ptr
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills `out`, or as much of it as is left; returns the bytes read. Throws DataError if the
  // wrapping is damaged.
  virtual std::size_t read(std::span<std::uint8_t> out) = 0;
  virtual const std::string& name() const = 0;  // for messages: a path, or "archive.npz: x.npy"
};

// A file, decompressed if it is gzip. Throws DataError if it cannot be opened, or is named .gz and
// is not gzip.
std::unique_ptr<ByteSource> open_file(const std::filesystem::path& path);

// Appends exactly `count` bytes in chunks, so a header that promises too much costs one chunk and a
// DataError saying how many bytes of `what` there were.
void append_exactly(ByteSource& source, std::uint64_t count, std::string_view what,
                    std::vector<std::uint8_t>& to);

// Throws DataError if the source has bytes left.
void expect_end(ByteSource& source);

// Everything the source has. Throws DataError if that is more than `limit_bytes`.
std::string read_text(ByteSource& source, std::size_t limit_bytes);

}  // namespace coppice
