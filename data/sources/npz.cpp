// numpy's archive of arrays: a zip file with one NAME.npy an array (numpy.savez,
// numpy.savez_compressed). Not part of the minimal build.

#include <zip.h>

#include <utility>  // for move

#include "core/error.h"
#include "core/text.h"
#include "data/array_dataset.h"
#include "data/byte_source.h"
#include "data/loader.h"

namespace coppice {
namespace {

struct DiscardZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using ZipHandle = std::unique_ptr<zip_t, DiscardZip>;

struct CloseEntry {
  // Reads were checked, and libzip checks the CRC at an entry's end; closing says nothing new.
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

ZipHandle open_archive(const std::filesystem::path& path) {
  int code = 0;
  ZipHandle archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw DataError(text(path.string(), ": cannot open as an npz archive: ", reason));
}

class ZipEntrySource final : public ByteSource {
 public:
  ZipEntrySource(zip_t* archive, zip_int64_t index, std::string name)
      : name_(std::move(name)),
        entry_(zip_fopen_index(archive, static_cast<zip_uint64_t>(index), 0)) {
    if (!entry_) throw DataError(text(name_, ": cannot open: ", zip_strerror(archive)));
  }

  std::size_t read(std::span<std::uint8_t> out) override {
    std::size_t total = 0;
    while (total < out.size()) {
      const zip_int64_t got = zip_fread(entry_.get(), out.data() + total, out.size() - total);
      if (got < 0) throw DataError(text(name_, ": cannot read: ", zip_file_strerror(entry_.get())));
      if (got == 0) break;
      total += static_cast<std::size_t>(got);
    }
    return total;
  }

  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  std::unique_ptr<zip_file_t, CloseEntry> entry_;
};

std::optional<NpyArray> read_optional(zip_t* archive, const std::string& path,
                                      const std::string& array) {
  const zip_int64_t index = zip_name_locate(archive, (array + ".npy").c_str(), 0);
  if (index < 0) return std::nullopt;
  ZipEntrySource source(archive, index, path + ": " + array);
  return read_npy(source);
}

NpyArray read_required(zip_t* archive, const std::string& path, const std::string& array) {
  std::optional<NpyArray> found = read_optional(archive, path, array);
  if (!found) throw DataError(text(path, ": expected the arrays x and y, found no ", array));
  return std::move(*found);
}

}  // namespace

std::string locate_npz() { return {}; }

Dataset load_npz(const DatasetRequest& request) {
  const std::filesystem::path path = required_root(request, "an npz file");
  const std::string name = path.string();
  const ZipHandle archive = open_archive(path);
  NamedArrays arrays{.x = read_required(archive.get(), name, "x"),
                     .y = read_required(archive.get(), name, "y"),
                     .client = read_optional(archive.get(), name, "client"),
                     .x_test = read_optional(archive.get(), name, "x_test"),
                     .y_test = read_optional(archive.get(), name, "y_test")};
  return dataset_from_arrays(std::move(arrays), request.test_fraction, name);
}

}  // namespace coppice
