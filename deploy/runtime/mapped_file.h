#pragma once
// A file's bytes, mapped where the system can. Internal.

#include <cstddef>       // for size_t
#include <cstdint>       // for uint8_t
#include <span>          // for span
#include <string>        // for string
#include <system_error>  // for system_error
#include <vector>        // for vector

namespace coppice::runtime {

class MappedFile {
 public:
  // Throws std::system_error naming `path` unless it is a file that can be read.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::uint8_t> copy_;  // where nothing can be mapped
};

}  // namespace coppice::runtime
