#include "core/safetensors.h"

#include <algorithm>  // for stable_sort
#include <bit>        // for endian
#include <cstring>    // for memcpy

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace coppice {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and are mapped as they are");

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{64} << 20U;

// 0 for an unknown dtype.
std::int64_t dtype_bytes(std::string_view dtype) {
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;
}

[[noreturn]] void fail(std::string_view what, const std::string& why) {
  throw DataError(text(what, ": not an intact safetensors file: ", why));
}

// Bytes of a tensor, or -1 when the shape is out of range.
std::int64_t tensor_bytes(const Shape& shape, std::int64_t item_bytes, std::int64_t limit) {
  std::int64_t total = item_bytes;
  for (const std::int64_t axis : shape) {
    if (axis < 0) return -1;
    if (axis != 0 && total > limit / axis) return -1;
    total *= axis;
  }
  return total;
}

std::map<std::string, std::string> read_metadata(const Json& entry, std::string_view what) {
  try {
    std::map<std::string, std::string> metadata;
    for (const auto& [key, value] : entry.as_object()) metadata[key] = value.as_text();
    return metadata;
  } catch (const DataError& error) {
    fail(what, text("__metadata__: ", error.what()));
  }
}

struct Fields {
  std::string dtype;
  Shape shape;
  std::vector<std::int64_t> offsets;
};

Fields read_fields(const std::string& name, const Json& entry, std::string_view what) {
  try {
    return {entry.at("dtype").as_text(), entry.at("shape").as_integers(),
            entry.at("data_offsets").as_integers()};
  } catch (const DataError& error) {
    fail(what, text("tensor '", name.substr(0, 64), "': ", error.what()));
  }
}

TensorBytes read_entry(const std::string& name, const Json& entry,
                       std::span<const std::uint8_t> data, std::string_view what,
                       std::int64_t& begin) {
  Fields fields = read_fields(name, entry, what);
  const std::vector<std::int64_t>& offsets = fields.offsets;
  TensorBytes tensor{name, std::move(fields.dtype), std::move(fields.shape), {}};
  const std::int64_t item = dtype_bytes(tensor.dtype);
  const std::string shown = name.substr(0, 64);
  if (item == 0)
    fail(what, "tensor '" + shown + "' has unknown dtype '" + tensor.dtype.substr(0, 16) + "'");
  const auto limit = static_cast<std::int64_t>(data.size());
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > limit) {
    fail(what,
         text("offsets of tensor '", shown, "' are not inside the ", limit, " bytes of data"));
  }
  const std::int64_t expected =
      tensor.shape.size() > 8 ? -1 : tensor_bytes(tensor.shape, item, limit);
  if (expected != offsets[1] - offsets[0]) {
    fail(what, text("tensor '", shown, "' of shape ", shape_text(tensor.shape).substr(0, 64),
                    " needs another size than ", offsets[1] - offsets[0], " bytes"));
  }
  begin = offsets[0];
  tensor.bytes =
      data.subspan(static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(expected));
  return tensor;
}

}  // namespace

const TensorBytes* TensorFile::find(std::string_view name) const {
  for (const TensorBytes& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::vector<std::uint8_t> write_safetensors(const TensorFile& file) {
  Json metadata{Json::Object{}};
  for (const auto& [key, value] : file.metadata) metadata.set(key, value);
  Json header;
  header.set("__metadata__", std::move(metadata));
  std::int64_t offset = 0;
  for (const TensorBytes& tensor : file.tensors) {
    const auto size = static_cast<std::int64_t>(tensor.bytes.size());
    if (tensor_bytes(tensor.shape, dtype_bytes(tensor.dtype), INT64_MAX) != size ||
        header.find(tensor.name) != nullptr) {
      throw Error("safetensors: tensor '" + tensor.name + "' is there twice or has the wrong size");
    }
    Json entry;
    entry.set("dtype", tensor.dtype);
    entry.set("shape", Json::array(tensor.shape));
    entry.set("data_offsets", Json::Array{offset, offset + size});
    header.set(tensor.name, std::move(entry));
    offset += size;
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');  // the format pads so that tensors start aligned
  const auto length = static_cast<std::uint64_t>(json.size());
  std::vector<std::uint8_t> out(kLengthBytes + json.size() + static_cast<std::size_t>(offset));
  std::uint8_t* at = out.data();
  const auto append = [&at](const void* bytes, std::size_t count) {
    if (count > 0) std::memcpy(at, bytes, count);
    at += count;
  };
  append(&length, kLengthBytes);
  append(json.data(), json.size());
  for (const TensorBytes& tensor : file.tensors) append(tensor.bytes.data(), tensor.bytes.size());
  return out;
}

TensorFile read_safetensors(std::span<const std::uint8_t> bytes, std::string_view what) {
  if (bytes.size() < kLengthBytes)
    fail(what, text("expected at least 8 bytes, got ", bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes) {
    fail(what, text("a header of ", length, " bytes does not fit a file of ", bytes.size()));
  }
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              static_cast<std::size_t>(length));
  const std::span<const std::uint8_t> data =
      bytes.subspan(kLengthBytes + static_cast<std::size_t>(length));
  TensorFile file;
  std::vector<std::pair<std::int64_t, TensorBytes>> ordered;
  const Json header = Json::parse(json, what);
  if (!header.is_object()) fail(what, "the header is no JSON object");
  for (const auto& [name, entry] : header.as_object()) {
    if (name == "__metadata__") {
      file.metadata = read_metadata(entry, what);
      continue;
    }
    std::int64_t begin = 0;
    TensorBytes tensor = read_entry(name, entry, data, what, begin);
    ordered.emplace_back(begin, std::move(tensor));
  }
  // An empty tensor may share its offset with the next one: it comes first.
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second.bytes.size()) < std::pair(b.first, b.second.bytes.size());
  });
  std::int64_t end = 0;
  for (auto& [begin, tensor] : ordered) {
    if (begin != end)
      fail(what, text("a hole or overlap before tensor '", tensor.name.substr(0, 64), "'"));
    end = begin + static_cast<std::int64_t>(tensor.bytes.size());
    file.tensors.push_back(std::move(tensor));
  }
  if (end != static_cast<std::int64_t>(data.size())) {
    fail(what, text("expected ", end, " bytes of tensors, got ", data.size()));
  }
  return file;
}

std::span<const std::uint8_t> bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

std::vector<float> floats_of(const TensorBytes& tensor, std::string_view what) {
  if (tensor.dtype != "F32") {
    throw DataError(text(what, ": tensor '", tensor.name, "': expected F32, got ", tensor.dtype));
  }
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

}  // namespace coppice
