#pragma once
// ONNX files of another tool, written byte by byte: what no exporter at hand writes.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace coppice::forged {

using Message = std::string;  // serialized

inline Message varint(std::uint64_t value) {
  Message out;
  for (; value > 127; value >>= 7U) out += static_cast<char>((value & 127U) | 128U);
  return out + static_cast<char>(value);
}
inline Message number(int field, std::int64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3U) +
         varint(static_cast<std::uint64_t>(value));
}
inline Message bytes(int field, const Message& content) {
  return varint(static_cast<std::uint64_t>(field) << 3U | 2U) + varint(content.size()) + content;
}
inline Message real(int field, float value) {
  Message out = varint(static_cast<std::uint64_t>(field) << 3U | 5U);
  return out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// AttributeProto: name 1, f 2, i 3, s 4, ints 8, type 20.
inline Message attribute(const std::string& name, std::int64_t value) {
  return bytes(5, bytes(1, name) + number(3, value) + number(20, 2));
}
inline Message attribute(const std::string& name, float value) {
  return bytes(5, bytes(1, name) + real(2, value) + number(20, 1));
}
inline Message attribute(const std::string& name, const std::string& value) {
  return bytes(5, bytes(1, name) + bytes(4, value) + number(20, 3));
}
inline Message attribute(const std::string& name, const std::vector<std::int64_t>& values) {
  Message ints;
  for (const std::int64_t value : values) ints += number(8, value);
  return bytes(5, bytes(1, name) + ints + number(20, 7));
}

// A node of the graph: inputs 1, output 2, name 3, op 4; `attributes` one after the other.
inline Message node(const std::string& op, const std::string& name,
                    const std::vector<std::string>& inputs, const std::string& output,
                    const Message& attributes = {}) {
  Message out;
  for (const std::string& input : inputs) out += bytes(1, input);
  return bytes(1, out + bytes(2, output) + bytes(3, name) + bytes(4, op) + attributes);
}

inline Message dims(int field, const std::vector<std::int64_t>& shape) {
  Message out;
  for (const std::int64_t axis : shape) out += number(field, axis);
  return out;
}

// Initializers as raw data; types as onnx.proto numbers them: 1 float, 2 uint8, 3 int8, 6 int32,
// 7 int64.
template <typename Value>
Message tensor(const std::string& name, int type, const std::vector<std::int64_t>& shape,
               const std::vector<Value>& values) {
  const Message raw(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
  return bytes(5, dims(1, shape) + number(2, type) + bytes(8, name) + bytes(9, raw));
}
inline Message floats(const std::string& name, const std::vector<std::int64_t>& shape,
                      const std::vector<float>& values) {
  return tensor(name, 1, shape, values);
}
// All of one value.
inline Message filled(const std::string& name, const std::vector<std::int64_t>& shape,
                      float value) {
  std::int64_t size = 1;
  for (const std::int64_t axis : shape) size *= axis;
  return floats(name, shape, std::vector<float>(static_cast<std::size_t>(size), value));
}

// "input" [batch, shape...] as graph input (field 11) or output (12); type 1: float. -1: symbolic.
inline Message value(int field, const std::string& name, const std::vector<std::int64_t>& shape,
                     int type = 1) {
  Message axes = bytes(1, bytes(2, "batch"));
  for (const std::int64_t axis : shape)
    axes += bytes(1, axis < 0 ? bytes(2, "any") : number(1, axis));
  return bytes(field, bytes(1, name) + bytes(2, bytes(1, number(1, type) + bytes(2, axes))));
}

// The file: `content` is nodes and initializers, from "input" of one sample's `shape` to "output".
inline std::vector<std::uint8_t> model(const std::vector<std::int64_t>& shape,
                                       const Message& content, int opset = 17, int type = 1) {
  const Message graph = content + value(11, "input", shape, type) + value(12, "output", {});
  const Message file =
      number(1, 8) + bytes(2, "other") + bytes(7, graph) + bytes(8, number(2, opset));
  return {file.begin(), file.end()};
}

}  // namespace coppice::forged
