#include "comm/tls/private_file.h"

#include <fcntl.h>     // for open
#include <sys/file.h>  // for flock
#include <sys/stat.h>  // for fstat, fchmod
#include <unistd.h>    // for write, fsync, close

#include <cerrno>        // for errno
#include <cstdio>        // for rename
#include <system_error>  // for generic_category

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace coppice::tls {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kOwnerOnly = 0600;

std::string reason() { return std::generic_category().message(errno); }

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, kOwnerOnly)) {
    if (descriptor_ < 0) throw ConfigError(text("cannot open '", path.string(), "': ", reason()));
  }
  ~Descriptor() { ::close(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

void write_all(const Descriptor& file, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error(text("cannot write '", path.string(), "': ", reason()));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void sync_folder(const fs::path& folder) {
  const Descriptor opened(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  // Some network file systems refuse fsync on folders and make names durable by themselves.
  if (::fsync(opened.get()) != 0 && errno != EINVAL)
    throw Error(text("cannot fsync folder '", folder.string(), "': ", reason()));
}

void write_temporary(const fs::path& path, std::string_view bytes) {
  ::unlink(path.c_str());  // what a killed process left may have another mode, or be a link
  const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (::fchmod(file.get(), kOwnerOnly) != 0)  // a umask may have taken the owner's rights
    throw Error(text("cannot set the mode of '", path.string(), "': ", reason()));
  write_all(file, bytes, path);
  if (::fsync(file.get()) != 0) throw Error(text("cannot fsync '", path.string(), "': ", reason()));
}

}  // namespace

void write_private_file(const fs::path& path, std::string_view bytes, Existing existing) {
  fs::path temporary = path;
  temporary += ".tmp";
  write_temporary(temporary, bytes);
  // link(2) refuses to replace, rename(2) does not.
  const bool is_kept = existing == Existing::kRefuse;
  const int status =
      is_kept ? ::link(temporary.c_str(), path.c_str()) : ::rename(temporary.c_str(), path.c_str());
  if (status != 0) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    throw ConfigError(
        text("cannot ", is_kept ? "create" : "replace", " '", path.string(), "': ", why));
  }
  if (is_kept) ::unlink(temporary.c_str());
  sync_folder(path.parent_path());
}

std::string read_whole_file(const fs::path& path, std::int64_t max_bytes) {
  const auto bytes = read_file(path, max_bytes);
  return {bytes.begin(), bytes.end()};
}

std::string read_private_file(const fs::path& path, std::int64_t max_bytes) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    throw DataError(text("'", path.string(), "' is a secret: expected mode 600, got ", std::oct,
                         status.st_mode & 0777,
                         "; chmod 600 it, and replace it if others read it"));
  }
  return read_whole_file(path, max_bytes);
}

void make_private_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error)) {
    if (!fs::is_directory(folder, error) || !fs::is_empty(folder, error))
      throw ConfigError(text("'", folder.string(), "': expected no folder or an empty one"));
  } else if (!fs::create_directories(folder, error)) {
    throw ConfigError(text("cannot create '", folder.string(), "': ", error.message()));
  }
  fs::permissions(folder, fs::perms::owner_all, error);
  if (error)
    throw ConfigError(text("cannot set the mode of '", folder.string(), "': ", error.message()));
}

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / "lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly);
  if (descriptor_ < 0) throw ConfigError(text("cannot open '", path.string(), "': ", reason()));
  while (::flock(descriptor_, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const std::string why = reason();
    ::close(descriptor_);
    throw ConfigError(text("cannot lock '", path.string(), "': ", why));
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace coppice::tls
