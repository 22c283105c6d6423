#pragma once
// JSON values, for what Coppice writes (metrics, summaries, journal records, checkpoint headers)
// and reads back. Own code because core stands on the standard library alone and checkpoints come
// from hostile places: the reader is bounded. Plain values; any thread.

#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <utility>      // for pair
#include <variant>      // for variant
#include <vector>       // for vector

namespace coppice {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in the order written

  Json() = default;  // null
  Json(bool value) : value_(value) {}
  Json(int value) : value_(std::int64_t{value}) {}
  Json(std::int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  template <typename Range>
  static Json array(const Range& values) {
    Array out;
    for (const auto& value : values) out.emplace_back(value);
    return out;
  }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_text() const { return std::holds_alternative<std::string>(value_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }

  // The value, or DataError saying what was expected and what is there.
  bool as_bool() const;
  std::int64_t as_integer() const;
  double as_number() const;
  const std::string& as_text() const;
  const Array& as_array() const;
  const Object& as_object() const;
  std::vector<std::int64_t> as_integers() const;
  std::vector<std::string> as_texts() const;

  const Json* find(std::string_view key) const;  // null if this is no object or has no such key
  const Json& at(std::string_view key) const;    // DataError if there is none

  // Appends a member; this must be an object or null (which becomes one).
  void set(std::string key, Json value);

  // One line, no spaces. Numbers in the shortest form that reads back equal; non-finite numbers
  // become null.
  std::string dump() const;
  // The same over several lines, two spaces a level; arrays of plain values stay on one line.
  std::string pretty() const;

  // Throws DataError "what: offset n: ..." for anything that is not exactly one JSON value, for
  // nesting deeper than 64, duplicate keys, integers beyond 64 bits and invalid escapes.
  static Json parse(std::string_view json, std::string_view what);

  friend bool operator==(const Json&, const Json&) = default;

 private:
  void write(std::string& out, int indent) const;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace coppice
