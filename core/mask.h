#pragma once
// Which elements of an arena are kept: one bit an element, in the arena's layout. A kept element
// may have any value; a masked one is zero. Density = kept / elements of the *original* model.
// Plain value; not thread-safe.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

class Mask {
 public:
  Mask() = default;
  explicit Mask(std::int64_t size, bool keep = true);

  std::int64_t size() const { return size_; }
  bool keeps(std::int64_t index) const {
    return ((words_[static_cast<std::size_t>(index) / 64] >>
             (static_cast<std::uint64_t>(index) % 64)) &
            1U) != 0;
  }
  void set(std::int64_t index, bool keep);

  std::int64_t kept() const;
  std::vector<std::int64_t> kept_indices() const;  // ascending
  double density(std::int64_t original_size) const;

  // Zeroes the masked elements of `values` (size() floats).
  void apply(std::span<float> values) const;

  // 64 bits a word, element i in bit i % 64 of word i / 64; bits past size() are zero.
  std::span<const std::uint64_t> words() const { return words_; }

  // Throws DataError unless there are exactly the words that `size` needs and no bit past it.
  static Mask from_words(std::int64_t size, std::vector<std::uint64_t> words);

  friend bool operator==(const Mask&, const Mask&) = default;

 private:
  std::int64_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

// The values of the elements that `from` keeps, ascending, as values of those that `to` keeps: 0
// where `from` keeps none. Throws ConfigError if the masks or values differ in size.
std::vector<float> project(std::span<const float> values, const Mask& from, const Mask& to);

// A weight matrix in blocks of 4 outputs x 4 consecutive elements of its flattened inner axis,
// zero-padded at the edges: the unit of block sparsity. `outputs` x `inner` elements from `offset`
// of the arena.
class BlockView {
 public:
  static constexpr std::int64_t kBlock = 4;

  BlockView(std::int64_t offset, std::int64_t outputs, std::int64_t inner);

  std::int64_t block_rows() const { return (outputs_ + kBlock - 1) / kBlock; }
  std::int64_t block_columns() const { return (inner_ + kBlock - 1) / kBlock; }

  // Sets every element of a block; elements beyond the edge do not exist.
  void set(Mask& mask, std::int64_t block_row, std::int64_t block_column, bool keep) const;
  bool keeps_any(const Mask& mask, std::int64_t block_row, std::int64_t block_column) const;
  std::int64_t kept_blocks(const Mask& mask) const;

 private:
  template <typename Visit>
  void visit(std::int64_t block_row, std::int64_t block_column, Visit&& visit_index) const;

  std::int64_t offset_;
  std::int64_t outputs_;
  std::int64_t inner_;
};

}  // namespace coppice
