#include "coordinator/durable_file.h"

#include <fcntl.h>   // for open
#include <unistd.h>  // for write, fsync, close

#include <cerrno>        // for errno
#include <cstdio>        // for rename
#include <system_error>  // for generic_category

#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

std::string system_reason(int error_number) {
  return std::generic_category().message(error_number);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);  // `other` closes what was open here
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileDescriptor open_file(const std::filesystem::path& path, int flags) {
  constexpr mode_t kMode = 0666;  // narrowed by the user's umask
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, kMode);
  if (descriptor < 0)
    throw ConfigError(text("cannot open '", path.string(), "': ", system_reason(errno)));
  return FileDescriptor(descriptor);
}

void write_all(const FileDescriptor& file, std::span<const std::uint8_t> bytes,
               const std::filesystem::path& path) {
  const std::size_t whole = bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw Error(text("cannot write '", path.string(), "': ", system_reason(errno), " (",
                       whole - bytes.size(), " of ", whole, " bytes written)"));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_file(const FileDescriptor& file, const std::filesystem::path& path) {
  if (::fsync(file.get()) != 0)
    throw Error(text("cannot fsync '", path.string(), "': ", system_reason(errno)));
}

void sync_folder(const std::filesystem::path& path) {
  const FileDescriptor folder = open_file(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
  // Some network file systems refuse fsync on folders and make names durable by themselves.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) {
    throw Error(text("cannot fsync folder '", path.string(), "': ", system_reason(errno)));
  }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes,
                           std::optional<FailpointName> during) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  {
    const FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (during && failpoint_is_due(*during)) {
      write_all(file, bytes.first(bytes.size() / 2), temporary);
      die_at_failpoint();
    }
    write_all(file, bytes, temporary);
    sync_file(file, temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    throw ConfigError(text("cannot replace '", path.string(), "': ", system_reason(errno)));
  }
  sync_folder(path.parent_path());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, bytes_of(text));
}

}  // namespace coppice
