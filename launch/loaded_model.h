#pragma once
// A finished model from its file, whatever the form: a .cpk, run by the runtime's engine, or a
// checkpoint (.safetensors) or an .onnx file, run by an executor. Owned and called by one thread.

#include <cstdint>      // for int64_t
#include <memory>       // for unique_ptr
#include <optional>     // for optional
#include <span>         // for span
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/checkpoint.h"
#include "core/graph.h"
#include "data/dataset.h"
#include "deploy/runtime/engine.h"
#include "models/executor.h"

namespace coppice {

// A network with its weights: a checkpoint of Coppice's (.safetensors) or an .onnx file of
// anyone's.
bool is_network_file(std::string_view path);
// Throws DataError for a file that is missing, damaged or, of ONNX, not to be imported.
Checkpoint read_network(const std::string& path);

class LoadedModel {
 public:
  // Throws ConfigError for a file of another kind, DataError for a missing or damaged one, or for a
  // .cpk that the runtime does not run. `threads` share the work on a sample of a .cpk, from 1 to
  // runtime::kMaxThreads; for other files, which an executor runs, more than one is a ConfigError.
  explicit LoadedModel(const std::string& path, std::int64_t threads = 1);

  const std::string& path() const { return path_; }
  const InputSpec& input() const { return input_; }
  const Shape& output_shape() const { return output_shape_; }
  std::int64_t sample_size() const { return element_count(input_.shape); }
  std::int64_t output_size() const { return element_count(output_shape_); }

  // Of whole samples, one after the other: a row of output_size() for each. A quantized checkpoint
  // answers as the integers it stands for.
  std::vector<float> logits(std::span<const float> samples);

  // Exactly one of the two is there.
  const runtime::Program* program() const;
  const Checkpoint* checkpoint() const { return checkpoint_ ? &*checkpoint_ : nullptr; }

 private:
  void load_cpk(std::int64_t threads);
  void load_network();

  std::string path_;
  InputSpec input_;
  Shape output_shape_;
  std::optional<runtime::Program> program_;
  std::optional<runtime::Engine> engine_;
  std::optional<Checkpoint> checkpoint_;
  std::unique_ptr<Executor> executor_;
};

// Throws DataError unless the model was made for data like this. An .onnx file of others names no
// classes: they are then the data set's, in its order, and label_note() says so, a line for people;
// else it is empty.
std::string label_note(const LoadedModel& model, const Dataset& dataset);
void check_fits(const LoadedModel& model, const Dataset& dataset);

// Top-1 on the whole split. `split` must not be empty.
double accuracy_of(LoadedModel& model, const Dataset& dataset, const Split& split);

// The data set that a command names beside an artefact; `overrides` are further keys of the data
// section.
std::unique_ptr<const Dataset> load_named_data(const std::string& name, const std::string& root,
                                               std::span<const std::string> overrides);

}  // namespace coppice
