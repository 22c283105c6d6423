#include <algorithm>  // for sort

#include "launch/bench/bench.h"

namespace coppice {

Json Spread::to_json() const {
  Json out;
  out.set("median", median);
  out.set("min", min);
  out.set("max", max);
  return out;
}

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const bool is_odd = values.size() % 2 == 1;
  return {is_odd ? values[middle] : (values[middle - 1] + values[middle]) / 2, values.front(),
          values.back()};
}

}  // namespace coppice
