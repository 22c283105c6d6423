#include "tests/end_to_end/tiny_data.h"

#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <vector>

#include "core/random.h"
#include "tests/data/data_files.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kClasses = 4;
constexpr int kFeatures = 8;
constexpr int kSamplesOfClient = 24;

void put(const fs::path& file, const Bytes& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

void write_images(const fs::path& folder, const std::string& split, std::uint32_t count) {
  constexpr std::uint32_t kSide = 28;
  RandomStream noise({7, Purpose::kGenerated, 0, static_cast<std::int64_t>(count)});
  Bytes pixels;
  Bytes labels;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t label = i % kClasses;
    labels += static_cast<char>(label);
    for (std::uint32_t row = 0; row < kSide; ++row) {
      const std::uint32_t light = row / 7 == label ? 150 : 0;
      for (std::uint32_t column = 0; column < kSide; ++column) {
        pixels += static_cast<char>(light + noise.next_below(60));
      }
    }
  }
  put(folder / (split + "-images-idx3-ubyte"), idx(0x08, {count, kSide, kSide}, pixels));
  put(folder / (split + "-labels-idx1-ubyte"), idx(0x08, {count}, labels));
}

std::vector<float> sample(int label, RandomStream& noise) {
  std::vector<float> features;
  features.reserve(kFeatures);
  for (int f = 0; f < kFeatures; ++f) {
    features.push_back((f % kClasses == label ? 1.5F : 0.0F) +
                       0.5F * static_cast<float>(noise.next_normal()));
  }
  return features;
}

Bytes little_endian_float(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return little_endian(bits, 4);
}

struct Columns {
  Bytes x;
  Bytes y;
  Bytes client;
  int count = 0;

  ZipEntry samples(const std::string& name) const {
    return {name + ".npy",
            npy("<f4", "(" + std::to_string(count) + ", " + std::to_string(kFeatures) + ")", x)};
  }
  ZipEntry column(const std::string& name, const Bytes& values) const {
    return {name + ".npy", npy("<i4", "(" + std::to_string(count) + ",)", values)};
  }
  void add(const std::vector<float>& features, int label, int owner) {
    for (const float value : features) x += little_endian_float(value);
    y += little_endian(static_cast<std::uint64_t>(label), 4);
    client += little_endian(static_cast<std::uint64_t>(owner), 4);
    ++count;
  }
};

void add_client(int client, std::optional<float> everywhere, Columns& train) {
  RandomStream noise({8, Purpose::kGenerated, client, 0});
  for (int i = 0; i < kSamplesOfClient; ++i) {
    std::vector<float> features = sample(i % kClasses, noise);
    if (everywhere) features.assign(kFeatures, *everywhere);
    train.add(features, i % kClasses, client);
  }
}

}  // namespace

void write_tiny_idx(const fs::path& folder) {
  fs::create_directories(folder);
  write_images(folder, "train", 120);
  write_images(folder, "t10k", 40);
}

void write_tiny_npz(const fs::path& file, int clients, int wild_client, float wild_value) {
  Columns train;
  for (int client = 0; client < clients; ++client)
    add_client(client, client == wild_client ? std::optional(wild_value) : std::nullopt, train);
  Columns test;
  RandomStream noise({8, Purpose::kGenerated, -1, 0});
  for (int i = 0; i < 40; ++i) test.add(sample(i % kClasses, noise), i % kClasses, 0);
  put(file,
      zip({train.samples("x"), train.column("y", train.y), train.column("client", train.client),
           test.samples("x_test"), test.column("y_test", test.y)}));
}

void write_tiny_npz_of(const fs::path& file, int client) {
  Columns train;
  add_client(client, std::nullopt, train);
  put(file, zip({train.samples("x"), train.column("y", train.y)}));
}

void write_tiny_csv(const fs::path& file) {
  std::ofstream out(file);
  for (int f = 0; f < kFeatures; ++f) out << 'f' << f << ',';
  out << "label\n";
  RandomStream noise({9, Purpose::kGenerated, 0, 0});
  for (int i = 0; i < 150; ++i) {
    for (const float value : sample(i % kClasses, noise)) out << value << ',';
    out << i % kClasses << '\n';
  }
}

}  // namespace coppice::testing
