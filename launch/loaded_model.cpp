#include "launch/loaded_model.h"
#include "launch/device/edge_world.h"

#include <algorithm>  // for min
#include <numeric>    // for iota

#include "core/config/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "deploy/onnx/import.h"
#include "deploy/runtime/cpk.h"
#include "deploy/runtime/error.h"
#include "deploy/validation.h"
#include "launch/world.h"

namespace coppice {

bool is_network_file(std::string_view path) {
  return path.ends_with(".safetensors") || path.ends_with(".onnx");
}

Checkpoint read_network(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  return path.ends_with(".onnx") ? from_onnx(bytes, path) : checkpoint_from_bytes(bytes, path);
}

LoadedModel::LoadedModel(const std::string& path, std::int64_t threads) : path_(path) {
  if (path.ends_with(".cpk")) {
    load_cpk(threads);
  } else if (is_network_file(path)) {
    if (threads != 1) {
      throw ConfigError(text(path, ": expected one thread, got ", threads,
                             ": only a .cpk is run by several; this file is run by the training "
                             "executor"));
    }
    load_network();
  } else {
    throw ConfigError(text(path,
                           ": expected a model (.cpk, .onnx) or a checkpoint (.safetensors), for "
                           "example model/model.cpk of a run folder"));
  }
}

void LoadedModel::load_cpk(std::int64_t threads) {
  try {
    program_ = runtime::read_cpk(read_file(path_), path_);
    engine_.emplace(*program_);
    engine_->set_threads(threads);
  } catch (const runtime::ModelError& error) {
    throw DataError(error.what());
  }
  const runtime::InputSpec& input = engine_->input();
  input_ = {.shape = input.shape,
            .type = input.type == runtime::ElementType::kInt32 ? ElementType::kInt32
                                                               : ElementType::kFloat32,
            .labels_per_sample = input.labels_per_sample,
            .label_names = input.label_names};
  const std::int64_t classes = engine_->logit_count() / input.labels_per_sample;
  output_shape_ =
      input.labels_per_sample == 1 ? Shape{classes} : Shape{input.labels_per_sample, classes};
}

void LoadedModel::load_network() {
  checkpoint_ = read_network(path_);
  executor_ = make_executor("auto", checkpoint_->graph);
  input_ = checkpoint_->graph.input();
  output_shape_ = checkpoint_->graph.output().shape;
}

const runtime::Program* LoadedModel::program() const { return program_ ? &*program_ : nullptr; }

std::vector<float> LoadedModel::logits(std::span<const float> samples) {
  if (checkpoint_) return executor_->infer({checkpoint_->parameters, &checkpoint_->plan}, samples);
  const auto size = static_cast<std::size_t>(sample_size());
  const auto row = static_cast<std::size_t>(output_size());
  std::vector<float> out(samples.size() / size * row);
  for (std::size_t i = 0; i * size < samples.size(); ++i) {
    engine_->run(samples.subspan(i * size, size), std::span(out).subspan(i * row, row));
  }
  return out;
}

std::string label_note(const LoadedModel& model, const Dataset& dataset) {
  const bool is_unnamed = model.path().ends_with(".onnx") && model.input().label_names.empty();
  if (!is_unnamed || dataset.label_names.empty()) return {};
  return "labels     the file names no classes; they are taken to be the data set's, in its "
         "order\n";
}

void check_fits(const LoadedModel& model, const Dataset& dataset) {
  const InputSpec& input = model.input();
  const auto refuse = [&](const char* what, const auto& expected, const auto& got) {
    throw DataError(text("data set '", dataset.name, "' is not what the model was made for: ", what,
                         ": expected ", expected, ", got ", got));
  };
  const bool is_ids = dataset.type == SampleType::kInt32;
  if (dataset.sample_shape != input.shape)
    refuse("sample", shape_text(input.shape), shape_text(dataset.sample_shape));
  if (is_ids != (input.type == ElementType::kInt32))
    refuse("values", is_ids ? "fp32" : "ids", is_ids ? "ids" : "fp32");
  if (dataset.labels_per_sample != input.labels_per_sample) {
    refuse("labels a sample", input.labels_per_sample, dataset.labels_per_sample);
  }
  const std::int64_t classes = model.output_shape().back();
  if (dataset.classes > classes) refuse("classes", classes, dataset.classes);
  // The same number of classes in another order would be measured wrongly without a word.
  if (dataset.label_names != input.label_names && label_note(model, dataset).empty())
    refuse("labels", join(input.label_names), join(dataset.label_names));
}

double accuracy_of(LoadedModel& model, const Dataset& dataset, const Split& split) {
  constexpr std::int64_t kBatch = 500;
  const auto classes = static_cast<std::size_t>(model.output_shape().back());
  std::int64_t correct = 0;
  std::size_t label = 0;
  for (std::int64_t begin = 0; begin < split.size; begin += kBatch) {
    std::vector<std::int64_t> indices(
        static_cast<std::size_t>(std::min(kBatch, split.size - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<float> samples(indices.size() * static_cast<std::size_t>(model.sample_size()));
    gather_samples(dataset, split, indices, samples);
    const std::vector<float> logits = model.logits(samples);
    for (std::size_t row = 0; row * classes < logits.size(); ++row, ++label) {
      const auto of_row = std::span(logits).subspan(row * classes, classes);
      correct += top_class(of_row) == split.labels[label] ? 1 : 0;
    }
  }
  return static_cast<double>(correct) / static_cast<double>(split.labels.size());
}

std::unique_ptr<const Dataset> load_named_data(const std::string& name, const std::string& root,
                                               std::span<const std::string> overrides) {
  DataConfig data = parse_config("name: data", "--data", overrides).data;
  data.name = name;
  if (!root.empty()) data.root = root;
  return load_dataset(dataset_request(data));
}

}  // namespace coppice
