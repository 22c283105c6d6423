#include "data/idx.h"

#include <algorithm>  // for max

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40U;

std::uint32_t big_endian(const std::uint8_t* p) {
  return (std::uint32_t{p[0]} << 24U) | (std::uint32_t{p[1]} << 16U) | (std::uint32_t{p[2]} << 8U) |
         std::uint32_t{p[3]};
}

std::int64_t element_bytes(IdxType type) { return type == IdxType::kUint8 ? 1 : 4; }

// The product of `shape`. Empty axes do not excuse the others: the product without them is at most
// kMaxElements too, so no product of some of the axes overflows.
std::int64_t checked_product(const std::vector<std::int64_t>& shape, const std::string& name) {
  std::int64_t product = 1;
  bool is_empty = false;
  for (const std::int64_t axis : shape) {
    is_empty = is_empty || axis == 0;
    if (axis != 0 && product > kMaxElements / axis) {
      throw DataError(text(name, ": IDX sizes ", join(shape, " x "), ": expected at most ",
                           kMaxElements, " elements"));
    }
    product *= std::max<std::int64_t>(axis, 1);
  }
  return is_empty ? 0 : product;
}

}  // namespace

std::int64_t IdxArray::size() const {
  return static_cast<std::int64_t>(bytes.size() - header_bytes) / element_bytes(type);
}

std::span<const std::uint8_t> IdxArray::elements() const {
  return std::span(bytes).subspan(header_bytes);
}

std::vector<std::int32_t> IdxArray::to_int32() const {
  const std::span<const std::uint8_t> stored = elements();
  if (type == IdxType::kUint8) return {stored.begin(), stored.end()};
  std::vector<std::int32_t> values(static_cast<std::size_t>(size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::int32_t>(big_endian(&stored[4 * i]));
  return values;
}

IdxArray read_idx(ByteSource& source) {
  IdxArray array;
  append_exactly(source, 4, "the IDX header", array.bytes);
  const std::uint8_t type = array.bytes[2];
  const std::uint8_t rank = array.bytes[3];
  if (array.bytes[0] != 0 || array.bytes[1] != 0 || rank == 0 || (type != 0x08 && type != 0x0C)) {
    throw DataError(text(source.name(),
                         ": expected an IDX header (00 00, type 08 or 0c, a rank), got bytes ",
                         hex(std::span(array.bytes).first(4))));
  }
  array.type = static_cast<IdxType>(type);
  append_exactly(source, std::uint64_t{4} * rank, "the IDX header", array.bytes);
  array.header_bytes = array.bytes.size();
  for (std::size_t axis = 0; axis < rank; ++axis)
    array.shape.push_back(big_endian(&array.bytes[4 + 4 * axis]));
  const std::int64_t elements = checked_product(array.shape, source.name());
  append_exactly(source, static_cast<std::uint64_t>(elements * element_bytes(array.type)),
                 "IDX elements", array.bytes);
  expect_end(source);
  return array;
}

}  // namespace coppice
