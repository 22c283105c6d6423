#include "deploy/runtime/mapped_file.h"

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>  // for errno
#else
#include <fstream>   // for ifstream
#include <iterator>  // for istreambuf_iterator
#endif

namespace coppice::runtime {

#if defined(__unix__) || defined(__APPLE__)

namespace {

[[noreturn]] void fail_with(int error, const std::string& path) {
  throw std::system_error(error, std::generic_category(), path);
}

struct Descriptor {
  int number = -1;
  ~Descriptor() { ::close(number); }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // Opening a pipe that nobody writes to would wait.
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (number < 0) fail_with(errno, path);
  const Descriptor file{number};
  struct stat status {};
  if (::fstat(file.number, &status) != 0) fail_with(errno, path);
  if (!S_ISREG(status.st_mode)) fail_with(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, path);
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (memory == MAP_FAILED) fail_with(errno, path);
  data_ = static_cast<const std::uint8_t*>(memory);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

#else

MappedFile::MappedFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::system_error(std::make_error_code(std::errc::no_such_file_or_directory), path);
  copy_ = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  data_ = copy_.data();
  size_ = copy_.size();
}

MappedFile::~MappedFile() = default;

#endif

}  // namespace coppice::runtime
