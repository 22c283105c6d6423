#include "deploy/runtime/program.h"

#include <algorithm>  // for find

namespace coppice::runtime {
namespace {

constexpr OpInfo kOps[] = {
#define COPPICE_RUNTIME_OP(name, code, runs) {Op::name, #name, runs},
#include "deploy/runtime/ops.def"
#undef COPPICE_RUNTIME_OP
};

}  // namespace

std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t axis : shape) count *= axis;
  return count;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string out;
  for (const std::int64_t axis : shape) out += (out.empty() ? "" : "x") + std::to_string(axis);
  return out;
}

std::span<const OpInfo> known_ops() { return kOps; }

const OpInfo* find_op(std::uint8_t code) {
  const auto* found = std::ranges::find(kOps, Op{code}, &OpInfo::op);
  return found == std::end(kOps) ? nullptr : found;
}

const OpInfo* find_op(std::string_view name) {
  const auto* found = std::ranges::find(kOps, name, &OpInfo::name);
  return found == std::end(kOps) ? nullptr : found;
}

std::string_view op_name(Op op) {
  const OpInfo* info = find_op(static_cast<std::uint8_t>(op));
  return info == nullptr ? "unknown" : info->name;
}

bool moves_values(Op op) {
  return op == Op::max_pool2d || op == Op::flatten || op == Op::dropout || op == Op::slice ||
         op == Op::last_step;
}

bool changes_nothing(Op op) { return op == Op::flatten || op == Op::dropout; }

bool is_elementwise(Op op) {
  switch (op) {
    case Op::normalize:
    case Op::relu:
    case Op::relu6:
    case Op::leaky_relu:
    case Op::gelu:
    case Op::tanh:
    case Op::sigmoid:
    case Op::add:
      return true;
    default:
      return false;
  }
}

}  // namespace coppice::runtime
