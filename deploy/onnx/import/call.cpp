#include "deploy/onnx/import/call.h"

#include <onnx/onnx_pb.h>

#include <algorithm>  // for all_of, find
#include <charconv>   // for from_chars, to_chars

#include "core/op_rules.h"

namespace coppice::onnx_import {
namespace {

using onnx::AttributeProto;

constexpr std::int64_t kMaxIntegers = 64;  // of a shape or of indices

Integers integers_of(const FileTensor& tensor) {
  if (tensor.dims.size() > 1 || tensor_size(tensor) > kMaxIntegers) {
    throw DataError(text("tensor '", tensor.name, "': expected at most ", kMaxIntegers,
                         " integers along one axis, got ", shape_text(tensor.dims)));
  }
  return {integer_values(tensor), tensor.dims.empty()};
}

}  // namespace

bool Call::has(std::size_t input) const {
  return input < node_.inputs.size() && !node_.inputs[input].empty();
}

const Value& Call::value(std::size_t input) const {
  if (!has(input)) fail("input ", input, " is not given");
  const auto found = session_.values.find(node_.inputs[input]);
  if (found == session_.values.end()) {
    fail("input '", node_.inputs[input].substr(0, 128),
         "' is no input, initializer or first output of a node before this one");
  }
  return found->second.value;
}

Output Call::output(std::size_t input) {
  value(input);  // throws unless it is there
  Named& named = session_.values.find(node_.inputs[input])->second;
  const std::optional<Output> done =
      onnx_import::complete(session_.network, named.value, named.name);
  if (!done) {
    fail("input '", node_.inputs[input].substr(0, 128),
         std::holds_alternative<ConstantPtr>(named.value) ||
                 std::holds_alternative<const FileTensor*>(named.value)
             ? "' is constant; expected the output of a layer"
             : "' is a step that no layer of Coppice ends with");
  }
  named.value = *done;
  return *done;
}

Output Call::plain(std::size_t input, std::size_t rank) {
  Output out = output(input);
  const Shape& shape = session_.network.layer(out.layer).shape;
  if (out.view != shape) {
    fail("reads ", shape_text(shape), " in the shape ", shape_text(out.view),
         ", which no layer has");
  }
  if (rank != 0 && shape.size() != rank) {
    fail("expected an input of ", rank, " axes behind the batch, got ", shape_text(shape));
  }
  return out;
}

bool Call::is_constant(std::size_t input) const {
  if (get<ConstantPtr>(input) != nullptr) return true;
  const auto* stored = get<const FileTensor*>(input);
  return stored != nullptr && is_real(**stored);
}

ConstantPtr Call::constant(std::size_t input) {
  const Value& known = value(input);
  if (const auto* ready = std::get_if<ConstantPtr>(&known)) return *ready;
  const auto* stored = std::get_if<const FileTensor*>(&known);
  if (stored == nullptr)
    fail("input '", node_.inputs[input].substr(0, 128), "' is computed; expected a constant");
  charge(tensor_size(**stored));
  auto out = std::make_shared<Constant>();
  out->name = (*stored)->name;
  out->dims = (*stored)->dims;
  out->values = float_values(**stored);
  return out;
}

ConstantPtr Call::constant_or_null(std::size_t input) {
  return has(input) ? constant(input) : nullptr;
}

double Call::scalar(std::size_t input) {
  const ConstantPtr one = constant(input);
  if (!one->is_scalar())
    fail("expected one number as input ", input, ", got ", shape_text(one->dims));
  return decimal(one->values.front());
}

std::optional<Integers> Call::integers_if(std::size_t input) const {
  if (const auto* ready = get<Integers>(input)) return *ready;
  const auto* stored = get<const FileTensor*>(input);
  if (stored == nullptr || !is_integer(**stored)) return std::nullopt;
  return integers_of(**stored);
}

Integers Call::integers(std::size_t input) const {
  std::optional<Integers> out = integers_if(input);
  if (!out) {
    value(input);
    fail("expected integers that are known as input ", input);
  }
  return *std::move(out);
}

const FileTensor* Call::stored(std::size_t input) const {
  const auto* found = get<const FileTensor*>(input);
  return found == nullptr ? nullptr : *found;
}

const FileAttribute* Call::find(std::string_view name, std::int64_t type) {
  asked_.insert(name);
  const auto found = std::ranges::find(node_.attributes, name, &FileAttribute::name);
  if (found == node_.attributes.end()) return nullptr;
  if (found->type != type && found->type != 0)
    fail("attribute ", name, ": expected type ", type, ", got ", found->type);
  return &*found;
}

std::int64_t Call::integer(std::string_view name, std::int64_t otherwise) {
  const FileAttribute* found = find(name, AttributeProto::INT);
  return found == nullptr ? otherwise : found->integer;
}

double Call::real(std::string_view name, double otherwise) {
  const FileAttribute* found = find(name, AttributeProto::FLOAT);
  return found == nullptr ? otherwise : decimal(found->real);
}

std::string_view Call::word(std::string_view name, std::string_view otherwise) {
  const FileAttribute* found = find(name, AttributeProto::STRING);
  return found == nullptr ? otherwise : found->text;
}

std::optional<std::vector<std::int64_t>> Call::list(std::string_view name) {
  const FileAttribute* found = find(name, AttributeProto::INTS);
  return found == nullptr ? std::nullopt : std::optional(found->integers);
}

Pair Call::pair(std::string_view name, const Pair& otherwise) {
  const auto given = list(name);
  if (!given) return otherwise;
  const auto is_sound = [](std::int64_t value) { return value >= 0 && value <= kMaxAxis; };
  if (given->size() != 2 || !std::ranges::all_of(*given, is_sound)) {
    fail("attribute ", name, ": expected two numbers in 0..", kMaxAxis, ", got ",
         given->empty() ? "none" : join(*given, " "));
  }
  return {given->front(), given->back()};
}

const FileTensor* Call::tensor(std::string_view name) {
  const FileAttribute* found = find(name, AttributeProto::TENSOR);
  return found == nullptr || !found->tensor ? nullptr : &*found->tensor;
}

void Call::expect(std::string_view name, std::int64_t only) {
  const std::int64_t got = integer(name, only);
  if (got != only) fail("attribute ", name, ": expected ", only, ", got ", got);
}

// The exporter calls parts of a layer "pool/mean"; a layer that is whole with one has the layer's.
std::string_view Call::name() const {
  constexpr std::string_view kMean = "/mean";
  std::string_view name =
      node_.name.empty() && !node_.outputs.empty() ? node_.outputs.front() : node_.name;
  if (name.ends_with(kMean)) name.remove_suffix(kMean.size());
  return name;
}

Output Call::add(OpKind op, const std::vector<Output>& inputs, const Attributes& attributes,
                 std::vector<ConstantPtr> parameters) {
  return session_.network.add(op, name(), inputs, attributes, std::move(parameters));
}

Output Call::quantize(const Output& output, const Grid& grid) {
  return session_.network.quantize(output, grid);
}

Output Call::complete(const Value& whole) {
  return onnx_import::complete(session_.network, whole, name()).value();
}

void Call::set(Value value) {
  if (node_.outputs.empty()) fail("has no output");
  const auto [at, is_new] =
      session_.values.try_emplace(node_.outputs.front(), Named{std::move(value), name()});
  if (!is_new) fail("output '", node_.outputs.front().substr(0, 128), "' is there twice");
}

ConstantPtr Call::filled(std::int64_t size, float value) {
  return onnx_import::filled(session_.network, size, value);
}

void Call::finish() const {
  for (const FileAttribute& attribute : node_.attributes) {
    if (!asked_.contains(attribute.name))
      fail("attribute ", attribute.name.substr(0, 64), " is not known");
  }
}

double decimal(float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double out = value;
  std::from_chars(digits, end, out);
  return out;
}

ConstantPtr transposed(Call& call, const Constant& matrix) {
  const auto rows = static_cast<std::size_t>(matrix.dims.at(0));
  const auto columns = static_cast<std::size_t>(matrix.dims.at(1));
  call.charge(static_cast<std::int64_t>(matrix.values.size()));
  auto out = std::make_shared<Constant>(matrix);
  out->dims = {matrix.dims[1], matrix.dims[0]};
  out->axis = 1 - std::min<std::size_t>(matrix.axis, 1);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      const std::size_t to = column * rows + row;
      out->values[to] = matrix.values[row * columns + column];
      if (!out->codes.empty()) out->codes[to] = matrix.codes[row * columns + column];
    }
  }
  return out;
}

ConstantPtr filled(Network& network, std::int64_t size, float value) {
  network.charge(size);
  auto out = std::make_shared<Constant>();
  out->dims = {size};
  out->values.assign(static_cast<std::size_t>(size), value);
  return out;
}

Reader reader_of(std::string_view op) {
  static constexpr std::pair<std::string_view, Reader> kReaders[] = {
#define COPPICE_ONNX_OPERATOR(name) {#name, read_##name},
#include "deploy/onnx/import/operators.def"
#undef COPPICE_ONNX_OPERATOR
  };
  for (const auto& [name, reader] : kReaders) {
    if (name == op) return reader;
  }
  return nullptr;
}

std::vector<std::string_view> known_operators() {
  return {
#define COPPICE_ONNX_OPERATOR(name) #name,
#include "deploy/onnx/import/operators.def"
#undef COPPICE_ONNX_OPERATOR
  };
}

}  // namespace coppice::onnx_import
