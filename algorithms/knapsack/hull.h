#pragma once
// What a layer can become when it may mix its items: the lower convex hull of (cost, value). Pure
// function; any thread.

#include <cstddef>  // for size_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice::knapsack {

struct Item {
  double cost = 0.0;
  double value = 0.0;
};

struct Corner {
  double cost = 0.0;
  double value = 0.0;
  double slope = 0.0;    // value saved by a unit of cost since the corner before; they fall
  std::size_t item = 0;  // index in the list
};

// From the cheapest item, of equal cost that of the least value, to the least value. `items` has at
// least one, in any order; sorted by cost costs least.
std::vector<Corner> hull_of(std::span<const Item> items);

}  // namespace coppice::knapsack
