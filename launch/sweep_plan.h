#pragma once
// What a sweep consists of: comma lists of values in, combinations and their folders out; then what
// the runs came to, gathered over seeds. Pure values; `coppice sweep` does the running.

#include <map>          // for map
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for pair
#include <vector>       // for vector

#include "core/json.h"

namespace coppice {

// One override with all the values it takes.
struct SweptKey {
  std::string key;
  std::vector<std::string> values;  // YAML, as written

  friend bool operator==(const SweptKey&, const SweptKey&) = default;
};

// "train.optimizer.lr=0.1,0.01", "model.hidden=[32],[64, 64]": commas inside [], {} and quotes do
// not separate. Throws ConfigError for an argument that is not key=value, an empty value among
// several, a value twice, a key twice, or brackets and quotes that do not close.
std::vector<SweptKey> parse_sweep(std::span<const std::string> arguments);

struct Combination {
  std::vector<std::pair<std::string, std::string>> values;  // a value for every key, in the order
                                                            // of the command line

  std::vector<std::string> overrides() const;  // key=value
};

// Every combination, the last key changing fastest. Throws ConfigError for more than 10,000.
std::vector<Combination> combinations(std::span<const SweptKey> keys);

// The name of a combination's folder: key=value,... of the keys that take several values ("run" if
// there are none). Characters other than letters, digits and ._=,+- become '_'; a name that was
// changed so, or is longer than 100 characters and cut, ends in 8 digits of its SHA-256, so that
// two combinations never share one.
std::string folder_name(const Combination& combination, std::span<const SweptKey> keys);

// A combination without its seed, and the means of its runs.
struct SweepGroup {
  std::vector<std::pair<std::string, std::string>> values;  // of the keys that take several values,
                                                            // but for seed
  std::int64_t runs = 0;

  struct Statistic {
    Json mean;                // null if no run has the field
    Json standard_deviation;  // of the sample (n - 1); null for fewer than two
  };
  std::map<std::string, Statistic, std::less<>> statistics;  // by field of summary.json
};

// The fields that a sweep gathers.
std::span<const std::string_view> sweep_fields();

// One group for every set of values, in order of first appearance. summaries[i] is that of all[i].
std::vector<SweepGroup> gather_sweep(std::span<const SweptKey> keys,
                                     std::span<const Combination> all,
                                     std::span<const Json> summaries);

// A row a group: values, runs, accuracy, retention, MB sent up, parameters, seconds, as "mean ±
// deviation".
std::string sweep_table(std::span<const SweepGroup> groups);
Json sweep_json(std::span<const SweepGroup> groups);

}  // namespace coppice
