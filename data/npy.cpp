#include "data/npy.h"

#include <algorithm>    // for equal, find, max
#include <array>        // for array
#include <bit>          // for endian
#include <charconv>     // for from_chars
#include <cmath>        // for isfinite
#include <cstring>      // for memcpy
#include <limits>       // for numeric_limits
#include <string_view>  // for string_view

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they are stored");

constexpr std::size_t kMaxHeaderBytes = 65'536;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 40U;
constexpr std::size_t kMaxRank = 32;
constexpr std::size_t kAlignment = 64;  // of the first element in a file that is written
constexpr std::string_view kMagic = "\x93NUMPY";

// The header's dict literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view header, const std::string& name) : rest_(header), name_(name) {}

  struct Header {
    std::string descr;
    bool is_fortran_order = false;
    std::vector<std::int64_t> shape;
  };

  Header parse() {
    Header header;
    unsigned seen = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      seen |= value(key, header);
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    if (!rest_.empty() || seen != 7) fail("exactly the keys descr, fortran_order and shape");
    return header;
  }

 private:
  unsigned value(const std::string& key, Header& header) {
    if (key == "descr") {
      header.descr = string();
      return 1;
    }
    if (key == "fortran_order") {
      header.is_fortran_order = boolean();
      return 2;
    }
    if (key != "shape") fail("one of the keys descr, fortran_order and shape");
    header.shape = tuple();
    return 4;
  }

  std::string string() {
    expect('\'');
    const std::size_t end = rest_.find('\'');  // npos, above all lengths, if there is none
    if (end > 64) fail("a quoted name");
    std::string found(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return found;
  }

  bool boolean() {
    skip_space();
    for (const std::string_view word : {std::string_view("False"), std::string_view("True")}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return word == "True";
    }
    fail("True or False");
  }

  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> axes;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::int64_t axis = -1;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), axis);
      if (error != std::errc() || axis < 0 || axes.size() == kMaxRank)
        fail("a shape of sizes >= 0");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      axes.push_back(axis);
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return axes;
  }

  void skip_space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n'))
      rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(text("'", c, "'"));
  }
  [[noreturn]] void fail(std::string_view expected) const {
    throw DataError(
        text(name_, ": NPY header: expected ", expected, ", got '", rest_.substr(0, 40), "'"));
  }

  std::string_view rest_;
  const std::string& name_;
};

// Whether numpy type `kind` of `bytes` bytes an element is one that is read here.
bool is_known_type(char kind, std::int64_t bytes) {
  switch (kind) {
    case 'u':
      return bytes == 1;
    case 'i':
    case 'f':
      return bytes == 4 || bytes == 8;
    case 'S':
      return bytes >= 1 && bytes <= 4096;
    case 'U':
      return bytes >= 4 && bytes <= 16'384;
    default:
      return false;
  }
}

// "<f4" -> kind f, 4 bytes. U counts code points.
void parse_type(const std::string& descr, NpyArray& array) {
  std::int64_t width = 0;
  const char* end = descr.data() + descr.size();
  const bool has_order = descr.size() >= 3 && (descr[0] == '<' || descr[0] == '|');
  if (has_order) {
    array.kind = descr[1];
    const auto [stop, error] = std::from_chars(descr.data() + 2, end, width);
    if (error != std::errc() || stop != end || width < 0 || width > 65'536) width = 0;
  }
  array.element_bytes = array.kind == 'U' ? 4 * width : width;
  if (has_order && is_known_type(array.kind, array.element_bytes)) return;
  throw DataError(text(array.name,
                       ": expected a little-endian array of u1, i4, i8, f4, f8, S or U, got '",
                       descr, "'"));
}

// Bytes of all elements. Empty axes do not excuse the others: the product without them is at most
// kMaxBytes too, so no product of some of the axes overflows.
std::int64_t checked_bytes(const NpyArray& array) {
  std::int64_t total = array.element_bytes;
  bool is_empty = false;
  for (const std::int64_t axis : array.shape) {
    is_empty = is_empty || axis == 0;
    if (axis != 0 && total > kMaxBytes / axis) {
      throw DataError(text(array.name, ": shape ", join(array.shape, " x "), ": expected at most ",
                           kMaxBytes, " bytes"));
    }
    total *= std::max<std::int64_t>(axis, 1);
  }
  return is_empty ? 0 : total;
}

template <typename Stored>
Stored load(const std::vector<std::uint8_t>& bytes, std::size_t index) {
  Stored value;
  std::memcpy(&value, bytes.data() + index * sizeof(Stored), sizeof(Stored));
  return value;
}

template <typename Stored>
std::vector<float> floats_of(const NpyArray& array) {
  std::vector<float> values(static_cast<std::size_t>(array.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(load<Stored>(array.bytes, i));
    if (!std::isfinite(values[i])) {
      throw DataError(text(array.name, ": element ", i, ": expected a finite fp32, got ",
                           load<Stored>(array.bytes, i)));
    }
  }
  return values;
}

template <typename Stored>
std::vector<std::int64_t> integers_of(const NpyArray& array) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(array.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = load<Stored>(array.bytes, i);
  return values;
}

std::vector<std::int64_t> to_int64(const NpyArray& array) {
  if (array.kind == 'u') return integers_of<std::uint8_t>(array);
  if (array.kind == 'i' && array.element_bytes == 4) return integers_of<std::int32_t>(array);
  if (array.kind == 'i') return integers_of<std::int64_t>(array);
  throw DataError(text(array.name, ": expected integers (u1, i4 or i8), got ", array.type_name()));
}

void append_utf8(std::uint32_t c, std::string& out) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((c >> shift) & 0x3FU));
  };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0U | (c >> 6U));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0U | (c >> 12U));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0U | (c >> 18U));
    tail(12), tail(6), tail(0);
  }
}

std::string unicode_element(const NpyArray& array, std::size_t index) {
  const std::size_t width = static_cast<std::size_t>(array.element_bytes) / 4;
  std::string out;
  for (std::size_t i = 0; i < width; ++i) {
    const auto c = load<std::uint32_t>(array.bytes, index * width + i);
    if (c == 0) break;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
      throw DataError(
          text(array.name, ": element ", index, ": expected Unicode text, got code point ", c));
    }
    append_utf8(c, out);
  }
  return out;
}

std::string bytes_element(const NpyArray& array, std::size_t index) {
  const auto begin = array.bytes.begin() + static_cast<std::ptrdiff_t>(index) * array.element_bytes;
  return {begin, std::find(begin, begin + array.element_bytes, std::uint8_t{0})};
}

}  // namespace

std::int64_t NpyArray::size() const {
  return static_cast<std::int64_t>(bytes.size()) / element_bytes;
}

std::string NpyArray::type_name() const {
  return text(kind, kind == 'U' ? element_bytes / 4 : element_bytes);
}

std::vector<float> NpyArray::to_float32() const {
  if (kind == 'f') return element_bytes == 4 ? floats_of<float>(*this) : floats_of<double>(*this);
  throw DataError(text(name, ": expected floats (f4 or f8), got ", type_name()));
}

std::vector<std::int32_t> NpyArray::to_int32() const {
  std::vector<std::int32_t> values;
  values.reserve(static_cast<std::size_t>(size()));
  for (const std::int64_t value : to_int64(*this)) {
    values.push_back(static_cast<std::int32_t>(value));
    if (values.back() != value) {
      throw DataError(
          text(name, ": element ", values.size() - 1, ": expected 32 bits, got ", value));
    }
  }
  return values;
}

std::vector<std::string> NpyArray::to_strings() const {
  std::vector<std::string> strings;
  if (kind != 'S' && kind != 'U') {
    for (const std::int64_t value : to_int64(*this)) strings.push_back(std::to_string(value));
    return strings;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(size()); ++i) {
    strings.push_back(kind == 'S' ? bytes_element(*this, i) : unicode_element(*this, i));
  }
  return strings;
}

NpyArray read_npy(ByteSource& source) {
  std::vector<std::uint8_t> bytes;
  append_exactly(source, 8, "the NPY magic", bytes);
  const std::uint8_t major = bytes[6];
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin(),
                  [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }) ||
      major < 1 || major > 3) {
    throw DataError(text(source.name(), ": expected NPY version 1 to 3, got bytes ", hex(bytes)));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  append_exactly(source, length_bytes, "the NPY header's length", bytes);
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= std::size_t{bytes[8 + i]} << (8 * i);
  if (length > kMaxHeaderBytes) {
    throw DataError(text(source.name(), ": expected an NPY header of at most ", kMaxHeaderBytes,
                         " bytes, got ", length));
  }
  bytes.clear();
  append_exactly(source, length, "the NPY header", bytes);
  const std::string header_text(bytes.begin(), bytes.end());
  const auto header = HeaderParser(header_text, source.name()).parse();
  if (header.is_fortran_order) {
    throw DataError(source.name() +
                    ": expected C order, got Fortran order; save numpy.ascontiguousarray(array)");
  }
  NpyArray array{.name = source.name(), .shape = header.shape, .bytes = {}};
  parse_type(header.descr, array);
  const std::int64_t total = checked_bytes(array);
  append_exactly(source, static_cast<std::uint64_t>(total), "NPY elements", array.bytes);
  expect_end(source);
  return array;
}

std::vector<std::uint8_t> npy_bytes(std::span<const float> values,
                                    std::span<const std::int64_t> shape) {
  std::int64_t elements = 1;
  for (const std::int64_t axis : shape) elements *= axis;
  if (elements != static_cast<std::int64_t>(values.size())) {
    throw ConfigError(text("NPY: expected ", join(shape, " x "), " values, got ", values.size()));
  }
  // Python writes a tuple of one with a comma behind it: (3,).
  std::string header = text("{'descr': '<f4', 'fortran_order': False, 'shape': (", join(shape),
                            shape.size() == 1 ? "," : "", "), }");
  constexpr std::size_t kPrefixBytes = 10;  // magic, version, length
  const std::size_t unpadded = kPrefixBytes + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';

  std::string prefix(kMagic.begin(), kMagic.end());
  for (const std::size_t byte :
       {std::size_t{1}, std::size_t{0}, header.size() & 0xFFU, header.size() >> 8U}) {
    prefix += static_cast<char>(static_cast<unsigned char>(byte));
  }
  prefix += header;
  std::vector<std::uint8_t> bytes(prefix.size() + values.size_bytes());
  std::memcpy(bytes.data(), prefix.data(), prefix.size());
  if (!values.empty())
    std::memcpy(bytes.data() + prefix.size(), values.data(), values.size_bytes());
  return bytes;
}

}  // namespace coppice
