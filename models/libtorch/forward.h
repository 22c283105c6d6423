#pragma once
// A graph as a sequence of LibTorch calls: parameters and a batch in, logits out, recorded by
// autograd when the parameters ask for gradients. Internal to models/. Refers to the graph, which
// must outlive it. Not thread-safe.

#include <ATen/core/Tensor.h>

#include <cstddef>     // for size_t
#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <span>        // for span
#include <vector>      // for vector

#include "core/graph.h"
#include "models/fake_quant.h"
#include "models/libtorch/op_call.h"

namespace coppice::libtorch {

struct ForwardOptions {
  const DropoutKey* dropout = nullptr;  // null: dropout nodes pass their input on
  std::int64_t first_sample = 0;        // place of the samples in their batch, for dropout
  const FakeQuant* quant = nullptr;     // the grids of node outputs; null: fp32
  // Sees the output of every node (an index of the graph's nodes) as the next nodes read it.
  std::function<void(std::size_t node, const at::Tensor& output)> visit = {};
};

class Forward {
 public:
  explicit Forward(const Graph& graph);

  // The output of the last node, [n, ...]. `parameters` are the graph's, in its order; `samples` is
  // [n, input shape...], ids as integers or as floats; all floats of one dtype. Throws
  // ConfigError for an id outside its vocabulary.
  at::Tensor run(std::span<const at::Tensor> parameters, const at::Tensor& samples,
                 const ForwardOptions& options = {}) const;

 private:
  struct Step {
    at::Tensor (*run)(const OpCall&);
    const Node* node;
    std::vector<int> releases;  // nodes whose output nobody needs after this step
    std::int64_t dropout_ordinal;
  };

  std::vector<Step> steps_;
  std::int64_t dropout_count_ = 0;
};

}  // namespace coppice::libtorch
