#pragma once
// The tile that all products are made of: O x T sums stay in registers; a tap loads T registers and
// broadcasts O numbers for O x T multiply-adds.

#include "kernels/lanes/registers.inc.h"

// NOLINTBEGIN(misc-definitions-in-headers): included once by each instruction set's file.
namespace coppice::kernels {
namespace {

// The lines of taps that a tile goes through, in two loops.
struct Lines {
  std::int64_t outer;
  std::int64_t vector_outer;  // floats from one to the next
  std::int64_t scalar_outer;
  std::int64_t inner;
  std::int64_t vector_inner;
  std::int64_t scalar_inner;
};

// out[o][t] = start + sum over taps of vector[t] * scalar[o]: O rows of scalars against T
// registers.
struct TileTask {
  const float* vectors;      // of t = 0, at the first tap
  std::int64_t vector_step;  // floats from t to t + 1
  std::int64_t vector_tap;   // floats from a tap of a line to the next one
  const float* scalars;      // of o = 0, at the first tap
  std::int64_t scalar_step;
  std::int64_t scalar_tap;
  const float* start_scalars;  // one each o; null: zeros
  const float* start_vectors;  // one register each t, not aligned; null: zeros
  float* out;
  std::int64_t out_scalar;  // floats from o to o + 1
  std::int64_t out_vector;
  Lines lines;
  std::int64_t taps;  // of a line
  bool accumulates;   // starts from what stands in out
  bool has_relu;
};

template <int kO, int kT>
struct Sums {
  V at[kO][kT];
};

// One tap of a tile.
template <int kO, int kT>
COPPICE_INLINE void add_tap(Sums<kO, kT>& sums, const float* vectors, std::int64_t vector_step,
                            const float* scalars, std::int64_t scalar_step) {
  // The smaller side stays in registers, the other comes one by one: O * T + min(O, T) + 1 of them.
  if constexpr (kO < kT) {
    V rows[kO];
    COPPICE_UNROLL
    for (int o = 0; o < kO; ++o) rows[o] = all(scalars[o * scalar_step]);
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) {
      const V value = load(vectors + t * vector_step);
      COPPICE_UNROLL
      for (int o = 0; o < kO; ++o) sums.at[o][t] += value * rows[o];
    }
  } else {
    V values[kT];
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) values[t] = load(vectors + t * vector_step);
    COPPICE_UNROLL
    for (int o = 0; o < kO; ++o) {
      const V row = all(scalars[o * scalar_step]);
      COPPICE_UNROLL
      for (int t = 0; t < kT; ++t) sums.at[o][t] += values[t] * row;
    }
  }
}

COPPICE_INLINE V start_of(const TileTask& task, int o, int t) {
  if (task.accumulates) return load(task.out + o * task.out_scalar + t * task.out_vector);
  if (task.start_vectors != nullptr) return load_unaligned(task.start_vectors + t * kLanes);
  return all(task.start_scalars == nullptr ? 0.0F : task.start_scalars[o]);
}

// `kTaps` is the length of a line of taps, if that is known here; 0: task.taps says.
template <int kO, int kT, int kTaps>
void product_tile(const TileTask& task) {
  Sums<kO, kT> sums;
  COPPICE_UNROLL
  for (int o = 0; o < kO; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) sums.at[o][t] = start_of(task, o, t);
  }
  const std::int64_t vector_step = task.vector_step;
  const std::int64_t vector_tap = task.vector_tap;
  const std::int64_t scalar_step = task.scalar_step;
  const std::int64_t scalar_tap = task.scalar_tap;
  const std::int64_t taps = task.taps;
  const Lines lines = task.lines;
  for (std::int64_t i = 0; i < lines.outer; ++i) {
    const float* vector_line = task.vectors + i * lines.vector_outer;
    const float* scalar_line = task.scalars + i * lines.scalar_outer;
    for (std::int64_t j = 0; j < lines.inner; ++j) {
      const float* vectors = vector_line;
      const float* scalars = scalar_line;
      if constexpr (kTaps > 0) {
        _Pragma("GCC unroll 1") for (int x = 0; x < kTaps;
                                     ++x, vectors += vector_tap, scalars += scalar_tap) {
          add_tap(sums, vectors, vector_step, scalars, scalar_step);
        }
      } else {
        for (std::int64_t x = 0; x < taps; ++x, vectors += vector_tap, scalars += scalar_tap) {
          add_tap(sums, vectors, vector_step, scalars, scalar_step);
        }
      }
      vector_line += lines.vector_inner;
      scalar_line += lines.scalar_inner;
    }
  }
  COPPICE_UNROLL
  for (int o = 0; o < kO; ++o) {
    COPPICE_UNROLL
    for (int t = 0; t < kT; ++t) {
      const V v = task.has_relu ? relu(sums.at[o][t]) : sums.at[o][t];
      store(task.out + o * task.out_scalar + t * task.out_vector, v);
    }
  }
}

using Tile = void (*)(const TileTask&);

constexpr int kMostVectors = 4;
constexpr int kMostScalars = 6;

// Line lengths that a tile knows beforehand: of 1x1, 3x3 and 5x5 windows, away from an image's
// edges. 0: any.
constexpr int kLineLengths[] = {0, 1, 3, 5};
constexpr int kLineKinds = 4;

template <int kO, int kT, int kTaps>
constexpr Tile tile_if_it_fits() {
  if constexpr (kO * kT <= kAccumulators) {
    return product_tile<kO, kT, kTaps>;
  } else {
    return nullptr;
  }
}

#define COPPICE_TILE(kO, kT)                                                                  \
  {                                                                                           \
    tile_if_it_fits<kO, kT, 0>(), tile_if_it_fits<kO, kT, 1>(), tile_if_it_fits<kO, kT, 3>(), \
        tile_if_it_fits<kO, kT, 5>()                                                          \
  }
#define COPPICE_TILES(kO) \
  { COPPICE_TILE(kO, 1), COPPICE_TILE(kO, 2), COPPICE_TILE(kO, 3), COPPICE_TILE(kO, 4) }
constexpr Tile kTiles[kMostScalars][kMostVectors][kLineKinds] = {
    COPPICE_TILES(1), COPPICE_TILES(2), COPPICE_TILES(3),
    COPPICE_TILES(4), COPPICE_TILES(5), COPPICE_TILES(6)};
#undef COPPICE_TILES
#undef COPPICE_TILE

COPPICE_INLINE int line_kind(std::int64_t length) {
  for (int kind = 1; kind < kLineKinds; ++kind) {
    if (length == kLineLengths[kind]) return kind;
  }
  return 0;
}

COPPICE_INLINE std::int64_t most_scalars(std::int64_t vectors) {
  return smaller(kMostScalars, kAccumulators / vectors);
}

// Of `count` things in tiles of at most `most`, as equal as can be.
COPPICE_INLINE std::int64_t tile_count(std::int64_t count, std::int64_t most) {
  return (count + most - 1) / most;
}

// Of `scalars` rows and `vectors` registers.
COPPICE_INLINE void run_tile(std::int64_t scalars, std::int64_t vectors, const TileTask& task) {
  kTiles[scalars - 1][vectors - 1][line_kind(task.taps)](task);
}

}  // namespace
}  // namespace coppice::kernels
// NOLINTEND(misc-definitions-in-headers)
