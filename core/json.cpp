#include "core/json.h"

#include <algorithm>  // for min
#include <charconv>   // for from_chars, to_chars
#include <cmath>      // for abs, isfinite
#include <set>        // for set

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr int kMaxDepth = 64;

void write_text(std::string& out, std::string_view value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : value) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kDigits[static_cast<unsigned char>(c) >> 4U];
          out += kDigits[static_cast<unsigned char>(c) & 15U];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string number_text(std::int64_t value) { return std::to_string(value); }

// The shortest text that reads back equal. What has neither point nor exponent reads back as an
// integer of 64 bits, so whole numbers beyond those get an exponent.
std::string number_text(double value) {
  std::array<char, 40> buffer{};
  const bool is_large = std::abs(value) >= 0x1p63;
  char* const end = buffer.data() + buffer.size();
  const auto result = is_large
                          ? std::to_chars(buffer.data(), end, value, std::chars_format::scientific)
                          : std::to_chars(buffer.data(), end, value);
  return {buffer.data(), result.ptr};
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&out](std::uint32_t bits) {
    out += static_cast<char>(static_cast<unsigned char>(bits));
  };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0U | code >> 6U);
    byte(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    byte(0xE0U | code >> 12U);
    byte(0x80U | (code >> 6U & 0x3FU));
    byte(0x80U | (code & 0x3FU));
  } else {
    byte(0xF0U | code >> 18U);
    byte(0x80U | (code >> 12U & 0x3FU));
    byte(0x80U | (code >> 6U & 0x3FU));
    byte(0x80U | (code & 0x3FU));
  }
}

// -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?  (RFC 8259, section 6)
bool is_number_text(std::string_view digits) {
  const auto take_digits = [&digits] {
    const std::size_t count = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits.remove_prefix(count);
    return count;
  };
  const auto take = [&digits](std::string_view any) {
    const bool is_there = !digits.empty() && any.find(digits.front()) != std::string_view::npos;
    if (is_there) digits.remove_prefix(1);
    return is_there;
  };
  take("-");
  const bool starts_with_zero = digits.starts_with('0');
  const std::size_t whole = take_digits();
  if (whole == 0 || (starts_with_zero && whole > 1)) return false;
  if (take(".") && take_digits() == 0) return false;
  if (take("eE")) {
    take("+-");
    if (take_digits() == 0) return false;
  }
  return digits.empty();
}

// Recursive descent over one text; depth is bounded, so the stack is.
class Parser {
 public:
  Parser(std::string_view json, std::string_view what) : json_(json), what_(what) {}

  Json parse() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != json_.size()) fail("expected the end");
    return value;
  }

 private:
  [[noreturn]] void fail(std::string_view expected) const {
    const std::string got =
        at_ < json_.size() ? text("byte ", int{static_cast<unsigned char>(json_[at_])}) : "the end";
    throw DataError(text(what_, ": JSON offset ", at_, ": ", expected, ", got ", got));
  }

  void skip_space() {
    while (at_ < json_.size() &&
           std::string_view(" \t\r\n").find(json_[at_]) != std::string_view::npos)
      ++at_;
  }

  char peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }

  void expect(char c, std::string_view expected) {
    skip_space();
    if (peek() != c || at_ == json_.size()) fail(expected);
    ++at_;
  }

  bool take_word(std::string_view word) {
    if (json_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) fail(text("at most ", kMaxDepth, " levels of nesting"));
    skip_space();
    switch (peek()) {
      case '{':
        return parse_object(depth);
      case '[':
        return parse_array(depth);
      case '"':
        return parse_text();
      case 't':
        if (take_word("true")) return true;
        break;
      case 'f':
        if (take_word("false")) return false;
        break;
      case 'n':
        if (take_word("null")) return {};
        break;
      default:
        return parse_number();
    }
    fail("expected a value");
  }

  Json parse_object(int depth) {
    Json::Object members;
    std::set<std::string, std::less<>> keys;
    expect('{', "expected '{'");
    skip_space();
    if (peek() == '}') {
      ++at_;
      return members;
    }
    while (true) {
      skip_space();
      std::string key = parse_text();
      if (!keys.insert(key).second) fail(text("key '", key.substr(0, 64), "' is there twice"));
      expect(':', "expected ':'");
      Json value = parse_value(depth + 1);
      members.emplace_back(std::move(key), std::move(value));
      skip_space();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect('}', "expected ',' or '}'");
      return members;
    }
  }

  Json parse_array(int depth) {
    Json::Array values;
    expect('[', "expected '['");
    skip_space();
    if (peek() == ']') {
      ++at_;
      return values;
    }
    while (true) {
      values.push_back(parse_value(depth + 1));
      skip_space();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect(']', "expected ',' or ']'");
      return values;
    }
  }

  std::uint32_t parse_hex4() {
    std::uint32_t code = 0;
    const std::string_view digits = json_.substr(at_, 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4)
      fail("expected four hex digits");
    at_ += 4;
    return code;
  }

  void parse_escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case '"':
        out += '"';
        return;
      case '\\':
        out += '\\';
        return;
      case '/':
        out += '/';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        --at_;
        fail("expected an escape");
    }
    std::uint32_t code = parse_hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!take_word("\\u")) fail("expected the second half of a surrogate pair");
      const std::uint32_t low = parse_hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("expected the second half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("expected the first half of a surrogate pair");
    }
    append_utf8(out, code);
  }

  std::string parse_text() {
    expect('"', "expected '\"'");
    std::string out;
    while (true) {
      if (at_ >= json_.size()) fail("expected '\"'");
      const char c = json_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("expected no control character");
      ++at_;
      if (c == '"') return out;
      if (c == '\\') {
        parse_escape(out);
      } else {
        out += c;
      }
    }
  }

  Json parse_number() {
    const std::size_t begin = at_;
    while (at_ < json_.size() &&
           std::string_view("+-0123456789.eE").find(json_[at_]) != std::string_view::npos)
      ++at_;
    const std::string_view digits = json_.substr(begin, at_ - begin);
    const char* end = digits.data() + digits.size();
    if (!is_number_text(digits)) {
      at_ = begin;
      fail("expected a value");
    }
    if (digits.find_first_of(".eE") == std::string_view::npos) {
      std::int64_t value = 0;
      const auto result = std::from_chars(digits.data(), end, value);
      if (result.ec == std::errc() && result.ptr == end) return value;
    } else {
      double value = 0;
      const auto result = std::from_chars(digits.data(), end, value);
      if (result.ec == std::errc() && result.ptr == end) return value;
    }
    at_ = begin;
    fail("expected a value");
  }

  std::string_view json_;
  std::string_view what_;
  std::size_t at_ = 0;
};

constexpr std::array<const char*, 7> kKinds{"null", "a boolean", "an integer", "a number",
                                            "text", "an array",  "an object"};

[[noreturn]] void wrong_kind(const char* expected, std::size_t got) {
  throw DataError(text("JSON: expected ", expected, ", got ", kKinds.at(got)));
}

}  // namespace

bool Json::as_bool() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  wrong_kind("a boolean", value_.index());
}

std::int64_t Json::as_integer() const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
  wrong_kind("an integer", value_.index());
}

double Json::as_number() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  wrong_kind("a number", value_.index());
}

const std::string& Json::as_text() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  wrong_kind("text", value_.index());
}

const Json::Array& Json::as_array() const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_kind("an array", value_.index());
}

const Json::Object& Json::as_object() const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_kind("an object", value_.index());
}

std::vector<std::int64_t> Json::as_integers() const {
  std::vector<std::int64_t> out;
  for (const Json& value : as_array()) out.push_back(value.as_integer());
  return out;
}

std::vector<std::string> Json::as_texts() const {
  std::vector<std::string> out;
  for (const Json& value : as_array()) out.push_back(value.as_text());
  return out;
}

const Json* Json::find(std::string_view key) const {
  const auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  for (const auto& [name, value] : *members) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) throw DataError(text("JSON: expected a member '", key, "', there is none"));
  return *value;
}

void Json::set(std::string key, Json value) {
  if (is_null()) value_ = Object{};
  std::get<Object>(value_).emplace_back(std::move(key), std::move(value));
}

void Json::write(std::string& out, int indent) const {
  const auto line = [&out](int level) {
    if (level >= 0) out += '\n' + std::string(static_cast<std::size_t>(level) * 2, ' ');
  };
  if (const auto* flag = std::get_if<bool>(&value_)) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
    out += number_text(*integer);
  } else if (const auto* number = std::get_if<double>(&value_)) {
    out += std::isfinite(*number) ? number_text(*number) : "null";
  } else if (const auto* string = std::get_if<std::string>(&value_)) {
    write_text(out, *string);
  } else if (const auto* values = std::get_if<Array>(&value_)) {
    bool is_plain = true;
    for (const Json& value : *values)
      is_plain = is_plain && !value.is_array() && !value.is_object();
    const int inner = indent < 0 || is_plain ? -1 : indent + 1;
    out += '[';
    for (std::size_t i = 0; i < values->size(); ++i) {
      if (i > 0) out += indent >= 0 && is_plain ? ", " : ",";
      line(inner);
      (*values)[i].write(out, inner);
    }
    if (inner >= 0) line(indent);
    out += ']';
  } else if (const auto* members = std::get_if<Object>(&value_)) {
    const int inner = indent < 0 ? -1 : indent + 1;
    out += '{';
    for (std::size_t i = 0; i < members->size(); ++i) {
      if (i > 0) out += ',';
      line(inner);
      write_text(out, (*members)[i].first);
      out += indent < 0 ? ":" : ": ";
      (*members)[i].second.write(out, inner);
    }
    if (!members->empty()) line(indent);
    out += '}';
  } else {
    out += "null";
  }
}

std::string Json::dump() const {
  std::string out;
  write(out, -1);
  return out;
}

std::string Json::pretty() const {
  std::string out;
  write(out, 0);
  return out + '\n';
}

Json Json::parse(std::string_view json, std::string_view what) {
  return Parser(json, what).parse();
}

}  // namespace coppice
