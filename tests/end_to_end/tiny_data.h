#pragma once
// Data sets of a few dozen samples that a few rounds can learn, made by the tests themselves.

#include <filesystem>
#include <limits>
#include <string>

namespace coppice::testing {

// Images of 1 x 28 x 28 in four classes: class c has a bright band at rows 7c to 7c + 6, in noise.
void write_tiny_idx(const std::filesystem::path& folder);

// Vectors of 8 features in four classes (feature c and c + 4 are raised), owned by `clients`
// clients, with an official test split. `wild_client` (-1: none) has `wild_value` for all features:
// near the end of fp32 training ends in NaN, with thousands its update explodes.
void write_tiny_npz(const std::filesystem::path& file, int clients, int wild_client = -1,
                    float wild_value = std::numeric_limits<float>::max());

// What one of these clients owns, alone.
void write_tiny_npz_of(const std::filesystem::path& file, int client);

// The same kind of samples as text: columns f0 ... f7 and label.
void write_tiny_csv(const std::filesystem::path& file);

}  // namespace coppice::testing
