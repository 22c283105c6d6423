#pragma once
// Whole files as bytes. Stateless; any thread.

#include <cstdint>     // for uint8_t
#include <filesystem>  // for path
#include <vector>      // for vector

namespace coppice {

// All bytes of a regular file of at most `max_bytes`, which is checked before anything is
// allocated. Throws DataError naming the path and the reason.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path,
                                    std::int64_t max_bytes = std::int64_t{1} << 34);

}  // namespace coppice
