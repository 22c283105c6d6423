#pragma once
// Aligned columns for people. Pure.

#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

namespace coppice {

// Rows of cells under their titles, in columns as wide as their widest cell and two spaces apart.
// The characters of `alignment`, one a column, say 'l' or 'r'. UTF-8 counts as one column a
// character; no line ends in spaces.
class Table {
 public:
  Table(std::vector<std::string> titles, std::string_view alignment);

  // As many cells as there are titles.
  void add(std::vector<std::string> cells);
  std::string text() const;  // a line a row, each with its line end

 private:
  std::vector<std::vector<std::string>> rows_;  // the titles first
  std::string alignment_;
};

}  // namespace coppice
