#pragma once
// Small programs for tests, made a node at a time.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/interpreter.h"
#include "deploy/runtime/layout.h"
#include "deploy/runtime/program.h"

namespace coppice::runtime {

class ProgramBuilder {
 public:
  explicit ProgramBuilder(Shape input, std::optional<Grid> grid = std::nullopt) {
    program_.input.shape = std::move(input);
    Node node;
    node.name = "input";
    node.grid = grid;
    program_.nodes.push_back(std::move(node));
  }

  // After the node before unless `node` names inputs; called op and index unless it has a name.
  std::int32_t add(Node node) {
    if (node.inputs.empty()) node.inputs = {static_cast<std::int32_t>(program_.nodes.size()) - 1};
    if (node.name.empty())
      node.name = std::string(op_name(node.op)) + std::to_string(program_.nodes.size());
    program_.nodes.push_back(std::move(node));
    return static_cast<std::int32_t>(program_.nodes.size()) - 1;
  }
  std::int32_t add(Op op, std::optional<Grid> grid = std::nullopt,
                   std::vector<std::int32_t> inputs = {}) {
    Node node;
    node.op = op;
    node.grid = grid;
    node.inputs = std::move(inputs);
    return add(std::move(node));
  }
  // With random parameters of `bits`, and a bias.
  std::int32_t add_product(Node node, int bits, RandomStream& random) {
    if (node.inputs.empty()) node.inputs = {static_cast<std::int32_t>(program_.nodes.size()) - 1};
    node.weights.bits = bits;
    Inference before(program_.input);
    for (const Node& earlier : program_.nodes) before.add(earlier);
    const bool is_integer = before.is_integer(node);
    const ParameterCounts counts = before.counts(node);
    const auto uniform = [&] { return random.next_uniform() - 0.5F; };
    const std::uint64_t limit = bits == 8 ? 127 : 7;
    for (std::int64_t i = 0; i < counts.channels * counts.row; ++i) {
      if (bits == 32) {
        node.weights.values.push_back(uniform());
      } else {
        node.weights.codes.push_back(static_cast<std::int8_t>(
            static_cast<int>(random.next_below(2 * limit + 1)) - static_cast<int>(limit)));
      }
    }
    for (std::int64_t c = 0; c < counts.channels; ++c) {
      if (bits != 32)
        node.weights.scales.push_back((0.5F + random.next_uniform()) / static_cast<float>(limit));
      if (is_integer) {
        node.bias_codes.push_back(static_cast<std::int32_t>(random.next_below(2000)) - 1000);
      } else {
        node.bias.push_back(uniform());
      }
    }
    return add(std::move(node));
  }

  const Program& program() const { return program_; }
  Program take() { return std::move(program_); }

 private:
  Program program_;
};

inline Node convolution(std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
                        std::int64_t padding = 0, std::int64_t groups = 1) {
  Node node;
  node.op = Op::conv2d;
  node.out = out;
  node.groups = groups;
  node.kernel = {kernel, kernel};
  node.stride = {stride, stride};
  node.padding = {padding, padding};
  return node;
}

inline Node pool(Op op, std::int64_t kernel, std::int64_t stride, std::int64_t padding = 0) {
  Node node = convolution(0, kernel, stride, padding);
  node.op = op;
  return node;
}

inline Node linear(std::int64_t out) {
  Node node;
  node.op = Op::linear;
  node.out = out;
  return node;
}

inline Node group_norm(std::int64_t group_size, std::int64_t channels) {
  Node node;
  node.op = Op::group_norm;
  node.group_size = group_size;
  node.epsilon = 1e-5F;
  node.norm.assign(static_cast<std::size_t>(2 * channels), 1.0F);
  return node;
}

inline Node on(Node node, std::optional<Grid> grid) {
  node.grid = grid;
  return node;
}

// The shape of LeNet-5 for 28 x 28 with integer products throughout.
inline Program lenet(int bits, std::int64_t conv2, std::int64_t fc1, std::int64_t fc2,
                     std::int64_t conv1 = 6) {
  RandomStream random({.task = 5});
  const Grid grid{0.05F, 0};
  ProgramBuilder build({1, 28, 28});
  build.add(Op::normalize, Grid{1.0F / 127.0F, 128});
  build.add_product(convolution(conv1, 5), bits, random);
  build.add(Op::relu, grid);
  build.add(pool(Op::max_pool2d, 2, 2));
  build.add_product(convolution(conv2, 5), bits, random);
  build.add(Op::relu, grid);
  build.add(pool(Op::max_pool2d, 2, 2));
  build.add(Op::flatten);
  for (const std::int64_t out : {fc1, fc2}) {
    build.add_product(linear(out), bits, random);
    build.add(Op::relu, grid);
  }
  build.add_product(linear(10), bits, random);
  Program program = build.take();
  program.name = "lenet5";
  for (int label = 0; label < 10; ++label)
    program.input.label_names.push_back("label" + std::to_string(label));
  return program;
}

// A directed acyclic graph of image operations: every fourth node joins two, grids come and go.
inline Program random_program(std::int64_t seed) {
  RandomStream random({.task = seed});
  ProgramBuilder build({4, 6, 6});
  const auto some_grid = [&]() -> std::optional<Grid> {
    if (random.next_below(2) == 0) return std::nullopt;
    return Grid{0.02F + 0.02F * random.next_uniform(),
                static_cast<std::uint8_t>(random.next_below(256))};
  };
  for (std::int32_t i = 1; i < 24; ++i) {
    const auto earlier = [&] {
      return static_cast<std::int32_t>(random.next_below(static_cast<std::uint64_t>(i)));
    };
    Node node;
    constexpr Op kOps[] = {Op::relu, Op::relu6, Op::tanh, Op::dropout, Op::add, Op::add};
    const std::uint64_t choice = random.next_below(12);
    if (choice < std::size(kOps)) {
      node.op = kOps[choice];
      node.inputs = {earlier()};
      if (node.op == Op::add) node.inputs.push_back(earlier());
      if (!moves_values(node.op)) node.grid = some_grid();
      build.add(std::move(node));
    } else if (choice == 6) {
      node = pool(Op::max_pool2d, 3, 1, 1);
      node.inputs = {earlier()};
      build.add(std::move(node));
    } else if (choice == 7) {
      node = on(group_norm(2, 4), some_grid());
      build.add(std::move(node));
    } else {
      node = on(convolution(4, 3, 1, 1, choice % 2 == 0 ? 1 : 2), some_grid());
      build.add_product(std::move(node), choice < 10 ? 8 : 32, random);
    }
  }
  build.add(Op::flatten);
  build.add_product(linear(3), 4, random);
  return build.take();
}

// Keeps about `percent` of the codes of every product in rows; its zeros are then worth coding.
inline Program with_zeros(Program program, std::uint64_t percent, RandomStream& random) {
  for (Node& node : program.nodes) {
    for (std::int8_t& code : node.weights.codes) {
      if (random.next_below(100) >= percent) code = 0;
    }
  }
  return program;
}

inline Program sparse_program(std::int64_t seed) {
  RandomStream random({.seed = 4, .task = seed});
  return with_zeros(random_program(seed), 20, random);
}

// Zeroes about three blocks in four of every product that has blocks.
inline Program with_empty_blocks(Program program, RandomStream& random) {
  const Inference inference = infer(program);
  for (Node& node : program.nodes) {
    if (inference.counts(node).row == 0 || node.weights.bits == 32) continue;
    const ProductShape shape = product_shape(node, inference);
    std::map<std::array<std::int64_t, 3>, bool> is_empty;
    for (std::size_t i = 0; i < node.weights.codes.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const std::int64_t input = at % shape.row() / shape.taps;
      const auto [found, is_new] = is_empty.try_emplace(
          {at / shape.row() / kBlockSide, at % shape.taps, input / kBlockSide}, false);
      if (is_new) found->second = random.next_below(4) != 0;
      if (found->second) node.weights.codes[i] = 0;
    }
  }
  return program;
}

inline Program in_blocks(Program program) {
  return laid_out(std::move(program), [](const Node&, const ProductShape& shape) {
    return shape.groups == 1 && shape.is_integer() ? Layout::kBlocks : dense_layout(shape);
  });
}

// As a file has it.
inline Program in_panels(Program program) {
  return laid_out(std::move(program),
                  [](const Node&, const ProductShape& shape) { return dense_layout(shape); });
}

inline std::vector<float> random_sample(std::int64_t size, std::int64_t seed) {
  RandomStream random({.seed = 9, .task = seed});
  std::vector<float> sample(static_cast<std::size_t>(size));
  for (float& value : sample) value = random.next_uniform();
  return sample;
}

inline std::vector<float> run_once(Interpreter& interpreter, const std::vector<float>& sample) {
  std::vector<float> logits(static_cast<std::size_t>(interpreter.logit_count()));
  interpreter.run(sample, logits);
  return logits;
}

inline std::vector<float> outputs(Program program, const std::vector<float>& sample) {
  Interpreter interpreter(std::move(program));
  return run_once(interpreter, sample);
}

// What `action` throws as a ModelError; empty if it throws nothing.
template <typename Action>
std::string model_error(Action&& action) {
  try {
    action();
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

}  // namespace coppice::runtime
