#pragma once
// A fixed number of fp32 values on a 64-byte boundary, zero at first. Owns its memory; copies are
// deep.

#include <algorithm>  // for copy
#include <cstddef>    // for size_t
#include <memory>     // for unique_ptr
#include <new>        // for align_val_t
#include <span>       // for span
#include <utility>    // for swap

namespace coppice {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size)
      : size_(size), data_(size == 0 ? nullptr : allocate(size)) {}
  explicit AlignedBuffer(std::span<const float> values) : AlignedBuffer(values.size()) {
    std::copy(values.begin(), values.end(), data_.get());
  }
  AlignedBuffer(const AlignedBuffer& other) : AlignedBuffer(other.span()) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() = default;

  std::size_t size() const { return size_; }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::span<float> span() { return {data_.get(), size_}; }
  std::span<const float> span() const { return {data_.get(), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, kAlignment); }
  };

  static float* allocate(std::size_t size) {
    auto* p = static_cast<float*>(::operator new[](size * sizeof(float), kAlignment));
    std::fill_n(p, size, 0.0F);
    return p;
  }
  void swap(AlignedBuffer& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
  }

  std::size_t size_ = 0;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace coppice
