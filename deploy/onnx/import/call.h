#pragma once
// One node of the file while it is read: its inputs as values, its attributes, its result. Internal
// to deploy/onnx. A reader is a function read_OP for every line OP of operators.def; an attribute
// that it did not ask for is an error, because it could mean something.

#include <cstdint>      // for int64_t
#include <map>          // for map
#include <optional>     // for optional
#include <set>          // for set
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/error.h"
#include "core/text.h"
#include "deploy/onnx/import/network.h"
#include "deploy/onnx/import/value.h"

namespace coppice::onnx_import {

// A tensor and the node that made it, which names what becomes of it.
struct Named {
  Value value;
  std::string_view name;
};
using Values = std::map<std::string_view, Named>;

// What the nodes of one file share.
struct Session {
  Network network;
  Values values;
  std::int64_t opset = 0;
  std::int64_t batch = kBatch;  // kBatch: any
};

class Call {
 public:
  Call(Session& session, const FileNode& node) : session_(session), node_(node) {}

  std::int64_t opset() const { return session_.opset; }
  std::int64_t batch() const { return session_.batch; }
  const Network& network() const { return session_.network; }
  std::size_t input_count() const { return node_.inputs.size(); }

  // Throws DataError "node 'conv1' (Conv): ...".
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw DataError(text(describe_node(node_), ": ", parts...));
  }

  // Inputs by position. `has`: given; the others throw DataError if it is not, or is of another
  // kind than the function's name says.
  bool has(std::size_t input) const;
  const Value& value(std::size_t input) const;
  template <typename Kind>
  const Kind* get(std::size_t input) const {
    return has(input) ? std::get_if<Kind>(&value(input)) : nullptr;
  }
  // A layer's output; what several nodes said together becomes a layer first.
  Output output(std::size_t input);
  // The same in the layer's own shape, of `rank` axes (0: any).
  Output plain(std::size_t input, std::size_t rank = 0);
  bool is_constant(std::size_t input) const;
  ConstantPtr constant(std::size_t input);
  ConstantPtr constant_or_null(std::size_t input);  // null: not given
  double scalar(std::size_t input);                 // a constant of one value
  std::optional<Integers> integers_if(std::size_t input) const;
  Integers integers(std::size_t input) const;
  const FileTensor* stored(std::size_t input) const;  // null: not given, or computed

  // Attributes by name; `otherwise` if the node does not have it.
  std::int64_t integer(std::string_view name, std::int64_t otherwise);
  double real(std::string_view name, double otherwise);
  std::string_view word(std::string_view name, std::string_view otherwise);
  std::optional<std::vector<std::int64_t>> list(std::string_view name);
  Pair pair(std::string_view name, const Pair& otherwise);  // in 0..2^24
  const FileTensor* tensor(std::string_view name);
  void expect(std::string_view name, std::int64_t only);  // an integer that has one value or none
  void ignore(std::string_view name) { asked_.insert(name); }

  Output add(OpKind op, const std::vector<Output>& inputs, const Attributes& attributes = {},
             std::vector<ConstantPtr> parameters = {});
  Output quantize(const Output& output, const Grid& grid);
  Output complete(const Value& whole);  // what this node was the last step of
  void set(Value value);

  void charge(std::int64_t elements) { session_.network.charge(elements); }  // see there
  ConstantPtr filled(std::int64_t size, float value);                        // charged

  // Throws for attributes that nobody asked for.
  void finish() const;

 private:
  const FileAttribute* find(std::string_view name, std::int64_t type);
  std::string_view name() const;

  Session& session_;
  const FileNode& node_;
  std::set<std::string_view> asked_;
};

// The layer that `value` stands for, added to the network under `name` unless it is one already;
// nothing if it is only a part of one.
std::optional<Output> complete(Network& network, const Value& value, std::string_view name);

// `output` in another shape of as many elements: a flatten layer, a view of a vector, or nothing.
// Fails for a shape that no layer has.
Output viewed(Call& call, const Output& output, const Shape& view);

// The fp32 value as people write it: 1e-5, not 9.99999974e-06.
double decimal(float value);

// A matrix with its axes exchanged.
ConstantPtr transposed(Call& call, const Constant& matrix);

// `size` times `value`, charged.
ConstantPtr filled(Network& network, std::int64_t size, float value);

// The reader of an operator of ONNX's own; null if there is none.
using Reader = void (*)(Call&);
Reader reader_of(std::string_view op);
std::vector<std::string_view> known_operators();

#define COPPICE_ONNX_OPERATOR(name) void read_##name(Call& call);
#include "deploy/onnx/import/operators.def"
#undef COPPICE_ONNX_OPERATOR

}  // namespace coppice::onnx_import
