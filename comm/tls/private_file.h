#pragma once
// Files that nobody but their owner may read: keys, tokens, the authority's ledger. Mode 0600 from
// the moment they exist, whatever the umask, and replaced as a whole: after a crash a path holds
// the old bytes or the new ones. Functions are stateless; two writers of a path are the caller's to
// exclude (FolderLock).
//
// A path that cannot be opened or created is a ConfigError; a write that fails half-way is an
// Error. Both name the path and the system's reason, never the content.

#include <cstdint>      // for int64_t
#include <filesystem>   // for path
#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice::tls {

enum class Existing : std::uint8_t { kReplace, kRefuse };

// Writes `path`.tmp (0600, fsync), gives it its name, and syncs the folder. kRefuse: an existing
// file is left as it is and is a ConfigError.
void write_private_file(const std::filesystem::path& path, std::string_view bytes,
                        Existing existing = Existing::kReplace);

// All of a file of at most `max_bytes`. Throws DataError if it is missing, longer or no regular
// file.
std::string read_whole_file(const std::filesystem::path& path, std::int64_t max_bytes);

// The same of a secret: DataError as well if group or others have any right to it.
std::string read_private_file(const std::filesystem::path& path, std::int64_t max_bytes);

// Creates a folder that only its owner may enter (0700), with its parents; an empty folder is
// taken. Throws ConfigError if there is something in it.
void make_private_folder(const std::filesystem::path& folder);

// Waits for, and holds, the exclusive right to change a folder (flock on its file `lock`), between
// processes and between threads. Ends with the object, and with the process however that ends.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);  // ConfigError if there is no folder
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace coppice::tls
