#pragma once
// How well one list of figures puts things in the order of another. Pure functions; any thread.

#include <span>    // for span
#include <vector>  // for vector

namespace coppice {

// The place of each value in ascending order, from 1; equal ones share the mean of their places.
std::vector<double> ranks_of(std::span<const double> values);

// Spearman's rank correlation: the correlation of the ranks, in [-1, 1]; 0 if all values of one
// list are equal. Throws ConfigError unless both have as many, at least two, and all are finite.
double rank_correlation(std::span<const double> a, std::span<const double> b);

}  // namespace coppice
