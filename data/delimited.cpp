#include "data/delimited.h"

#include <charconv>  // for from_chars
#include <cmath>     // for isfinite

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

std::string_view trimmed(std::string_view field) {
  while (!field.empty() && (field.front() == ' ' || field.front() == '\t')) field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.remove_suffix(1);
  return field;
}

// Text of a number without the sign that from_chars does not take.
std::string_view number_text(std::string_view field) {
  field = trimmed(field);
  if (field.size() > 1 && field[0] == '+' && field[1] != '-') field.remove_prefix(1);
  return field;
}

}  // namespace

std::string DelimitedReader::where() const { return text(source_, ": line ", line_); }

bool DelimitedReader::next(std::vector<std::string>& fields) {
  while (!rest_.empty()) {
    const std::size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    split(line, fields);
    return true;
  }
  return false;
}

void DelimitedReader::split(std::string_view line, std::vector<std::string>& fields) const {
  std::size_t count = 0;
  while (true) {
    if (count == fields.size()) fields.emplace_back();
    std::string& field = fields[count++];
    if (line.starts_with('"')) {
      line = take_quoted(line.substr(1), field);
    } else {
      const std::size_t comma = line.find(',');
      field.assign(line.substr(0, comma));
      line.remove_prefix(field.size());
    }
    if (line.empty()) break;
    line.remove_prefix(1);
  }
  fields.resize(count);
}

// Reads up to the closing quote; returns what follows it: nothing or a comma.
std::string_view DelimitedReader::take_quoted(std::string_view line, std::string& field) const {
  field.clear();
  while (true) {
    const std::size_t quote = line.find('"');
    if (quote == std::string_view::npos)
      throw DataError(where() + ": expected a closing quote, got the line's end");
    field.append(line.substr(0, quote));
    line.remove_prefix(quote + 1);
    if (line.empty() || line.front() == ',') return line;
    if (line.front() != '"') {
      throw DataError(text(where(), ": expected a comma after a closing quote, got '",
                           line.substr(0, 20), "'"));
    }
    field += '"';
    line.remove_prefix(1);
  }
}

float parse_feature(std::string_view field, const DelimitedReader& reader,
                    std::string_view column) {
  const std::string_view number = number_text(field);
  float value = 0.0F;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error == std::errc() && end == number.data() + number.size() && std::isfinite(value))
    return value;
  throw DataError(text(reader.where(), ", column '", column.substr(0, 64),
                       "': expected a finite number, got '", field.substr(0, 64), "'"));
}

bool parse_integer(std::string_view field, std::int64_t& value) {
  const std::string_view number = number_text(field);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  return error == std::errc() && end == number.data() + number.size() && !number.empty();
}

}  // namespace coppice
