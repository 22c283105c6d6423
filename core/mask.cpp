#include "core/mask.h"

#include <algorithm>  // for min
#include <bit>        // for countr_zero, popcount

#include "core/error.h"
#include "core/index_map.h"
#include "core/text.h"

namespace coppice {
namespace {

std::size_t words_for(std::int64_t size) { return (static_cast<std::size_t>(size) + 63) / 64; }

// The bits of the last word that lie past `size`.
std::uint64_t bits_past(std::int64_t size) {
  const std::uint64_t used = static_cast<std::uint64_t>(size) % 64;
  return used == 0 ? 0 : ~std::uint64_t{0} << used;
}

}  // namespace

Mask::Mask(std::int64_t size, bool keep)
    : size_(size), words_(words_for(size), keep ? ~std::uint64_t{0} : 0) {
  if (!words_.empty()) words_.back() &= ~bits_past(size);
}

void Mask::set(std::int64_t index, bool keep) {
  const std::uint64_t bit = std::uint64_t{1} << (static_cast<std::uint64_t>(index) % 64);
  std::uint64_t& word = words_[static_cast<std::size_t>(index) / 64];
  word = keep ? word | bit : word & ~bit;
}

std::int64_t Mask::kept() const {
  std::int64_t count = 0;
  for (const std::uint64_t word : words_) count += std::popcount(word);
  return count;
}

std::vector<std::int64_t> Mask::kept_indices() const {
  std::vector<std::int64_t> indices;
  indices.reserve(static_cast<std::size_t>(kept()));
  for (std::size_t w = 0; w < words_.size(); ++w) {
    for (std::uint64_t rest = words_[w]; rest != 0; rest &= rest - 1)
      indices.push_back(static_cast<std::int64_t>(w) * 64 + std::countr_zero(rest));
  }
  return indices;
}

double Mask::density(std::int64_t original_size) const {
  return original_size == 0 ? 0.0
                            : static_cast<double>(kept()) / static_cast<double>(original_size);
}

void Mask::apply(std::span<float> values) const {
  if (static_cast<std::int64_t>(values.size()) != size_) {
    throw ConfigError(text("mask: expected ", size_, " values, got ", values.size()));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!keeps(static_cast<std::int64_t>(i))) values[i] = 0.0F;
  }
}

Mask Mask::from_words(std::int64_t size, std::vector<std::uint64_t> words) {
  if (size < 0 || words.size() != words_for(size) ||
      (!words.empty() && (words.back() & bits_past(size)) != 0)) {
    throw DataError(text("mask: ", words.size(), " words do not hold exactly ", size, " bits"));
  }
  Mask mask;
  mask.size_ = size;
  mask.words_ = std::move(words);
  return mask;
}

std::vector<float> project(std::span<const float> values, const Mask& from, const Mask& to) {
  return IndexMap::kept_by(to).gather(IndexMap::kept_by(from).scatter(values));
}

BlockView::BlockView(std::int64_t offset, std::int64_t outputs, std::int64_t inner)
    : offset_(offset), outputs_(outputs), inner_(inner) {}

template <typename Visit>
void BlockView::visit(std::int64_t block_row, std::int64_t block_column,
                      Visit&& visit_index) const {
  const std::int64_t row_end = std::min(outputs_, (block_row + 1) * kBlock);
  const std::int64_t column_end = std::min(inner_, (block_column + 1) * kBlock);
  for (std::int64_t row = block_row * kBlock; row < row_end; ++row) {
    for (std::int64_t column = block_column * kBlock; column < column_end; ++column) {
      visit_index(offset_ + row * inner_ + column);
    }
  }
}

void BlockView::set(Mask& mask, std::int64_t block_row, std::int64_t block_column,
                    bool keep) const {
  visit(block_row, block_column, [&](std::int64_t index) { mask.set(index, keep); });
}

bool BlockView::keeps_any(const Mask& mask, std::int64_t block_row,
                          std::int64_t block_column) const {
  bool any = false;
  visit(block_row, block_column, [&](std::int64_t index) { any = any || mask.keeps(index); });
  return any;
}

std::int64_t BlockView::kept_blocks(const Mask& mask) const {
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < block_rows(); ++row) {
    for (std::int64_t column = 0; column < block_columns(); ++column)
      count += keeps_any(mask, row, column) ? 1 : 0;
  }
  return count;
}

}  // namespace coppice
