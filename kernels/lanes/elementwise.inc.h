#pragma once
// Register by register: rows and lanes, activations, sums, grids.

#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

COPPICE_INLINE void put(float* to, V v, bool accumulates) {
  store(to, accumulates ? load(to) + v : v);
}

template <int kDistance>
struct LowBlocks {
  static constexpr int of(int l) {
    return (l & kDistance) != 0 ? COPPICE_LANES + l - kDistance : l;
  }
};
template <int kDistance>
struct HighBlocks {
  static constexpr int of(int l) {
    return (l & kDistance) != 0 ? COPPICE_LANES + l : l + kDistance;
  }
};

// Swaps the halves of every pair of blocks of `distance` rows and columns; after all distances the
// square is transposed.
template <int kDistance>
COPPICE_INLINE void swap_blocks(V (&rows)[kLanes]) {
  COPPICE_UNROLL
  for (int r = 0; r < kLanes; ++r) {
    if ((r & kDistance) != 0) continue;
    const V a = rows[r];
    const V b = rows[r + kDistance];
    rows[r] = choose<LowBlocks<kDistance>>(a, b, Lanes{});
    rows[r + kDistance] = choose<HighBlocks<kDistance>>(a, b, Lanes{});
  }
}

COPPICE_INLINE void transpose(V (&rows)[kLanes]) {
  swap_blocks<1>(rows);
  swap_blocks<2>(rows);
  if constexpr (kLanes > 4) swap_blocks<4>(rows);
  if constexpr (kLanes > 8) swap_blocks<8>(rows);
}

void to_rows(const float* lanes, std::int64_t n, std::int64_t samples, float* rows,
             std::int64_t pitch) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V square[kLanes];
    COPPICE_UNROLL
    for (int k = 0; k < kLanes; ++k) square[k] = load(lanes + (i + k) * kLanes);
    transpose(square);
    // Constant indices keep the square in registers.
    COPPICE_UNROLL
    for (int s = 0; s < kLanes; ++s) {
      if (s < samples) store_unaligned(rows + s * pitch + i, square[s]);
    }
  }
  for (; i < n; ++i) {
    for (std::int64_t s = 0; s < samples; ++s) rows[s * pitch + i] = lanes[i * kLanes + s];
  }
}

void from_rows(const float* rows, std::int64_t pitch, std::int64_t samples, std::int64_t n,
               float* lanes) {
  std::int64_t i = 0;
  if (samples == 1) {  // with zeros beside it there is nothing to transpose
    for (; i < n; ++i) store(lanes + i * kLanes, V{rows[i]});
    return;
  }
  for (; i + kLanes <= n; i += kLanes) {
    V square[kLanes];
    COPPICE_UNROLL
    for (int s = 0; s < kLanes; ++s)
      square[s] = s < samples ? load_unaligned(rows + s * pitch + i) : V{};
    transpose(square);
    COPPICE_UNROLL
    for (int k = 0; k < kLanes; ++k) store(lanes + (i + k) * kLanes, square[k]);
  }
  for (; i < n; ++i) {
    V v{};
    for (std::int64_t s = 0; s < samples; ++s) v[s] = rows[s * pitch + i];
    store(lanes + i * kLanes, v);
  }
}

void transpose_registers(const float* in, std::int64_t rows, std::int64_t columns, float* out) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r, out += kLanes)
      store(out, load(in + (r * columns + c) * kLanes));
  }
}

void pad_columns(const float* in, std::int64_t rows, std::int64_t columns, std::int64_t left,
                 std::int64_t right, float* out) {
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < left; ++x, out += kLanes) store(out, V{});
    for (std::int64_t x = 0; x < columns; ++x, out += kLanes, in += kLanes) store(out, load(in));
    for (std::int64_t x = 0; x < right; ++x, out += kLanes) store(out, V{});
  }
}

void normalize(const float* in, std::int64_t n, float mean, float deviation, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    store(out + i, (load(in + i) - mean) / deviation);
  }
}

void rectify(const float* in, std::int64_t n, float slope, float highest, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    const V x = load(in + i);
    const V y = x < V{} ? x * slope : x;
    store(out + i, y > all(highest) ? all(highest) : y);
  }
}

void rectify_gradient(const float* out, const float* out_gradient, std::int64_t n, float slope,
                      float highest, bool accumulates, float* in_gradient) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    const V y = load(out + i);
    const V g = load(out_gradient + i);
    const V rising = y >= all(highest) ? V{} : g;
    put(in_gradient + i, y <= V{} ? g * slope : rising, accumulates);
  }
}

void add(const float* a, const float* b, std::int64_t n, bool has_relu, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    const V sum = load(a + i) + load(b + i);
    store(out + i, has_relu ? relu(sum) : sum);
  }
}

void multiply(const float* a, const float* b, std::int64_t n, bool accumulates, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    put(out + i, load(a + i) * load(b + i), accumulates);
  }
}

void copy_lanes(const float* in, std::int64_t n, bool accumulates, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) put(out + i, load(in + i), accumulates);
}

void divide(const float* in, std::int64_t n, float divisor, bool accumulates, float* out) {
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes)
    put(out + i, load(in + i) / divisor, accumulates);
}

// Half to even for |x| < 2^22: the sum has no bits below the integers.
COPPICE_INLINE V round_half_even(V x) {
  const V shift = all(12582912.0F);  // 1.5 * 2^23
  return (x + shift) - shift;
}

void to_grid(const float* in, std::int64_t n, const LaneGrid& grid, float* out) {
  const V lowest = all(grid.lowest);
  const V highest = all(grid.highest);
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    V x = load(in + i) / grid.scale;
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    store(out + i, round_half_even(x) * grid.scale);
  }
}

void to_grid_gradient(const float* in, const float* out_gradient, std::int64_t n,
                      const LaneGrid& grid, bool accumulates, float* in_gradient) {
  const V lowest = all(grid.scale * (grid.lowest - 0.5F));
  const V highest = all(grid.scale * (grid.highest + 0.5F));
  for (std::int64_t i = 0; i < n * kLanes; i += kLanes) {
    const V x = load(in + i);
    const V g = load(out_gradient + i);
    const V above = x <= lowest ? V{} : g;
    put(in_gradient + i, x >= highest ? V{} : above, accumulates);
  }
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
