#pragma once
// Files that survive a crash: whole-file replacement that is either the old bytes or the new ones,
// and the few POSIX calls the journal needs, each checked. Functions are stateless and any thread
// may call them; two writers of one path are the caller's to exclude (RunFolder's lock does).
//
// A path that cannot be opened or created (missing folder, no permission, is a directory) is a
// ConfigError; a write that fails half-way (no space, quota) is an Error. Both name the path and
// the system's reason.

#include <cstdint>      // for uint8_t
#include <filesystem>   // for path
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for exchange, swap
#include <vector>       // for vector

#include "core/failpoint.h"

namespace coppice {

// An open file descriptor; closed by the destructor. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// open(2) with O_CLOEXEC and mode 0666. Throws ConfigError.
FileDescriptor open_file(const std::filesystem::path& path, int flags);

// Writes all of `bytes` at the descriptor's position, however often the system interrupts. `path`
// is for the message.
void write_all(const FileDescriptor& file, std::span<const std::uint8_t> bytes,
               const std::filesystem::path& path);

// fsync(2), also of a folder (which makes its names durable). Throws Error.
void sync_file(const FileDescriptor& file, const std::filesystem::path& path);
void sync_folder(const std::filesystem::path& path);

// Replaces `path` by `bytes`: writes `path`.tmp, fsync, rename, fsync of the folder. After a crash
// at any moment `path` holds the old bytes or the new ones. `during` dies with half of the
// temporary file written.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes,
                           std::optional<FailpointName> during = std::nullopt);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// "No space left on device" for an errno value, without the shared buffer of strerror.
std::string system_reason(int error_number);

}  // namespace coppice
