#pragma once
// Small data files made by the tests themselves: IDX, NPY, zip and gzip bytes, and a folder to put
// them in.

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/digest.h"
#include "core/error.h"
#include "data/byte_source.h"
#include "data/dataset.h"

namespace coppice {

using Bytes = std::string;

// Bytes in memory as a source.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(std::move(bytes)) {}

  std::size_t read(std::span<std::uint8_t> out) override {
    const std::size_t count = std::min(out.size(), bytes_.size() - position_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(position_), count, out.begin());
    position_ += count;
    return count;
  }
  const std::string& name() const override { return name_; }

 private:
  Bytes bytes_;
  std::size_t position_ = 0;
  std::string name_ = "memory";
};

// A folder of its own, removed at the end.
class DataFolder {
 public:
  DataFolder() {
    std::string pattern = ::testing::TempDir() + "coppice_data_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;
  ~DataFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  // Removed first: some file systems flush a file that is truncated and written again, and tests
  // write thousands.
  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    std::filesystem::remove(path_ / name);
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline Bytes gzip(const Bytes& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes in = bytes;
  Bytes out(deflateBound(&stream, in.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Bytes little_endian(std::uint64_t value, unsigned bytes) {
  Bytes out;
  for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

inline Bytes big_endian(std::uint32_t value) {
  const Bytes little = little_endian(value, 4);
  return {little.rbegin(), little.rend()};
}

inline Bytes idx(std::uint8_t type, const std::vector<std::uint32_t>& shape,
                 const Bytes& elements) {
  Bytes out = {'\0', '\0', static_cast<char>(type), static_cast<char>(shape.size())};
  for (const std::uint32_t axis : shape) out += big_endian(axis);
  return out + elements;
}

// Version 1.0, as numpy writes it.
inline Bytes npy(const std::string& descr, const std::string& shape, const Bytes& elements) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  return "\x93NUMPY\x01" + Bytes(1, '\0') + little_endian(header.size(), 2) + header + elements;
}

struct ZipEntry {
  std::string name;
  Bytes bytes;
};

// A zip archive of entries that are stored, not compressed (PKWARE APPNOTE,
// sections 4.3.7, 4.3.12, 4.3.16).
inline Bytes zip(const std::vector<ZipEntry>& entries) {
  Bytes body;
  Bytes directory;
  for (const ZipEntry& entry : entries) {
    const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(entry.bytes.data()),
                             static_cast<uInt>(entry.bytes.size()));
    const Bytes common = little_endian(20, 2) + little_endian(0, 2) + little_endian(0, 2) +
                         little_endian(0, 2) + little_endian(0x21, 2) + little_endian(crc, 4) +
                         little_endian(entry.bytes.size(), 4) +
                         little_endian(entry.bytes.size(), 4) +
                         little_endian(entry.name.size(), 2) + little_endian(0, 2);
    directory += "PK\x01\x02" + little_endian(20, 2) + common + little_endian(0, 2) +
                 little_endian(0, 2) + little_endian(0, 2) + little_endian(0, 4) +
                 little_endian(body.size(), 4) + entry.name;
    body += "PK\x03\x04" + common + entry.name + entry.bytes;
  }
  return body + directory + "PK\x05\x06" + little_endian(0, 4) + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(body.size(), 4) + little_endian(0, 2);
}

// The message of the Expected that `action` throws.
template <typename Expected, typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no exception";
  return {};
}

inline void expect_split_is_valid(const Dataset& dataset, const Split& split) {
  const std::size_t values = split.uint8s.size() + split.float32s.size() + split.int32s.size();
  ASSERT_EQ(static_cast<std::int64_t>(values), split.size * dataset.sample_size());
  ASSERT_EQ(static_cast<std::int64_t>(split.labels.size()), split.size * dataset.labels_per_sample);
  for (const std::int32_t label : split.labels)
    ASSERT_TRUE(label >= 0 && label < dataset.classes) << label;
  for (const std::int32_t id : split.int32s) ASSERT_TRUE(id >= 0 && id < dataset.vocabulary) << id;
  for (const std::int32_t key : split.client_keys) {
    ASSERT_TRUE(key >= 0 && static_cast<std::size_t>(key) < dataset.client_names.size()) << key;
  }
}

// Runs `load` on every truncation and on `flips` seeded bit flips of `bytes`: each must end in a
// coppice::Error or in a data set that keeps its promises. Truncations must end in an error if
// `truncations_fail`.
template <typename Load>
void attack(const Bytes& bytes, int flips, bool truncations_fail, Load&& load) {
  const auto survives = [&](const Bytes& damaged) {
    try {
      const Dataset dataset = load(damaged);
      expect_split_is_valid(dataset, dataset.train);
      expect_split_is_valid(dataset, dataset.test);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  ASSERT_TRUE(survives(bytes)) << "the undamaged bytes were refused";
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const bool survived = survives(bytes.substr(0, length));
    if (truncations_fail) {
      ASSERT_FALSE(survived) << "truncated to " << length << " of " << bytes.size();
    }
  }
  std::mt19937 generator(1);
  for (int i = 0; i < flips; ++i) {
    Bytes damaged = bytes;
    for (unsigned flip = 0; flip <= generator() % 3; ++flip) {
      char& byte = damaged[generator() % damaged.size()];
      byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (generator() % 8)));
    }
    survives(damaged);
  }
}

}  // namespace coppice
