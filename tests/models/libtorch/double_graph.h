#pragma once
// A graph with parameters in double, for gradient checks and hand values.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <utility>
#include <vector>

#include "core/graph.h"
#include "core/random.h"
#include "models/libtorch/forward.h"

namespace coppice::libtorch {

class DoubleGraph {
 public:
  DoubleGraph(InputSpec input, std::vector<LayerSpec> layers)
      : graph_(Graph::build(std::move(input), std::move(layers))), forward_(graph_) {
    RandomStream stream({.purpose = Purpose::kGenerated});
    for (const ParameterSpec& spec : graph_.parameters()) {
      parameters.push_back(random_tensor(spec.shape, stream));
      // A variance is positive.
      if (spec.name.ends_with("running_var")) parameters.back().abs_().add_(0.5);
    }
  }
  DoubleGraph(const DoubleGraph&) = delete;

  static at::Tensor random_tensor(const Shape& shape, RandomStream& stream) {
    at::Tensor tensor = at::empty(shape, at::kDouble);
    auto* data = tensor.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < tensor.numel(); ++i)
      data[i] = 2.0 * stream.next_uniform_double() - 1.0;
    return tensor;
  }

  // Sets the parameter named `name` to `values`, row by row.
  void set(std::string_view name, std::initializer_list<double> values) {
    at::Tensor& parameter = parameters.at(static_cast<std::size_t>(graph_.parameter_named(name)));
    std::ranges::copy(values, parameter.mutable_data_ptr<double>());
  }

  at::Tensor run(const at::Tensor& samples, const DropoutKey* dropout = nullptr) const {
    return forward_.run(parameters, samples, {.dropout = dropout});
  }

  // The output for one sample, flat.
  std::vector<double> run_one(const std::vector<double>& sample) const {
    Shape shape = graph_.input().shape;
    shape.insert(shape.begin(), 1);
    const at::Tensor out = run(at::tensor(sample, at::kDouble).reshape(shape)).contiguous();
    const auto* data = out.const_data_ptr<double>();
    return {data, data + out.numel()};
  }

  const Graph& graph() const { return graph_; }

  std::vector<at::Tensor> parameters;

 private:
  Graph graph_;
  Forward forward_;
};

}  // namespace coppice::libtorch
