#include "core/file.h"

#include <fstream>  // for ifstream

#include "core/error.h"
#include "core/text.h"

namespace coppice {

std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  const auto fail = [&](const std::string& why) {
    throw DataError(text("cannot read '", path.string(), "': ", why));
  };
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail("there is no such file");
  if (!std::filesystem::is_regular_file(status)) fail("it is no regular file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) fail(error.message());
  if (size > static_cast<std::uintmax_t>(max_bytes)) {
    fail(text("expected at most ", max_bytes, " bytes, got ", size));
  }
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!in) fail("the file could not be read to its end");
  return bytes;
}

}  // namespace coppice
