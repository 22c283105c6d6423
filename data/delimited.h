#pragma once
// Comma-separated text, line by line (RFC 4180 without line breaks inside quotes). Every error
// names the line.

#include <cstddef>      // for size_t
#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

// Lines of a text that outlives it. CRLF and a missing last line end are accepted; empty lines are
// skipped.
class DelimitedReader {
 public:
  DelimitedReader(std::string_view text, std::string source)
      : rest_(text), source_(std::move(source)) {}

  // Reads the next line into `fields`; false at the end. Throws DataError for quotes that do not
  // match.
  bool next(std::vector<std::string>& fields);

  std::int64_t line() const { return line_; }  // of the fields last read, from 1
  std::string where() const;                   // "data.csv: line 7"

 private:
  void split(std::string_view line, std::vector<std::string>& fields) const;
  std::string_view take_quoted(std::string_view line, std::string& field) const;

  std::string_view rest_;
  std::string source_;
  std::int64_t line_ = 0;
};

// The whole of `field`, spaces around it aside, as a finite number. Throws DataError that begins
// with `where` and names the column.
float parse_feature(std::string_view field, const DelimitedReader& reader, std::string_view column);

// The whole of `field` as an integer; false if it is none or does not fit.
bool parse_integer(std::string_view field, std::int64_t& value);

}  // namespace coppice
