#pragma once
// The gradient of a client's whole local objective, element by element, as the fused optimizer
// passes see it:
//
//   g_i = gradient_i + prox_mu * (weight_i - global_i) + correction_i,   0 where the mask has bit 0
//
// FedProx (Li et al. 2020, eq. 2) and SCAFFOLD (Karimireddy et al. 2020, algorithm 1: c - c_k) are
// its second and third terms. All arrays have the layout of one parameter arena; nothing here owns
// memory. Any thread may call, on arrays that nobody else writes. Pointers need no alignment, and
// the result's bits do not depend on it.

#include <cstdint>  // for int64_t

namespace coppice::kernels {

struct LocalGradient {
  const float* gradient = nullptr;  // of the data terms
  std::int64_t gradient_begin = 0;  // the element that gradient[0] is of
  const float* weights = nullptr;
  const float* global = nullptr;      // null: no proximal term
  const float* correction = nullptr;  // null: none
  const std::uint64_t* mask =
      nullptr;  // element i is bit i % 64 of word i / 64; null: everything is kept
  float prox_mu = 0.0F;
};

// Writes g of elements [begin, end) to out[0, end - begin).
void local_gradient(const LocalGradient& terms, std::int64_t begin, std::int64_t end, float* out);

// Sum of g_i^2 over [begin, end), in double, in an order that only the two bounds decide.
double local_gradient_square_norm(const LocalGradient& terms, std::int64_t begin, std::int64_t end);

// The fused passes work on pieces of this many elements, so that intermediate values stay in the
// first-level cache while the arena is read and written once.
inline constexpr std::int64_t kPiece = 512;

// Zeroes values[i - begin] for every i of [begin, end) whose bit of `mask` is 0.
void zero_masked(const std::uint64_t* mask, std::int64_t begin, std::int64_t end, float* values);

}  // namespace coppice::kernels
