// `coppice infer`: a checkpoint, fp32, on a data set or on an array.

#include <fmt/core.h>

#include <algorithm>  // for max_element

#include "client/evaluation.h"
#include "coordinator/durable_file.h"
#include "core/checkpoint.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "data/npy.h"
#include "launch/commands.h"
#include "launch/tables.h"
#include "launch/world.h"
#include "models/executor.h"

namespace coppice {
namespace {

constexpr std::int64_t kBatch = 500;
constexpr std::int64_t kShownRows = 10;

struct Model {
  Checkpoint checkpoint;
  std::unique_ptr<Executor> executor;

  const InputSpec& input() const { return checkpoint.graph.input(); }
  std::int64_t sample_size() const { return element_count(input().shape); }
  const Shape& output_shape() const { return checkpoint.graph.output().shape; }
  std::int64_t output_size() const { return element_count(output_shape()); }
};

Model load_model(const std::string& path) {
  Checkpoint checkpoint = checkpoint_from_bytes(read_file(path), path);
  auto executor = make_executor("auto", checkpoint.graph);
  return {std::move(checkpoint), std::move(executor)};
}

std::unique_ptr<const Dataset> load_data(const InferArguments& arguments) {
  DataConfig data = parse_config("name: infer", "--data", arguments.overrides).data;
  data.name = arguments.data;
  if (!arguments.root.empty()) data.root = arguments.root;
  return load_dataset(dataset_request(data));
}

void check_fits(const Model& model, const Dataset& dataset) {
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
  if (dataset.label_names != input.label_names)
    refuse("labels", join(input.label_names), join(dataset.label_names));
}

// Logits of samples [0, size), a batch at a time: gather(first, count) gives the samples of a
// batch.
template <typename Gather>
std::vector<float> all_logits(Model& model, std::int64_t size, Gather&& gather) {
  std::vector<float> logits;
  logits.reserve(static_cast<std::size_t>(size * model.output_size()));
  for (std::int64_t first = 0; first < size; first += kBatch) {
    const std::vector<float> samples = gather(first, std::min(kBatch, size - first));
    const std::vector<float> batch = model.executor->infer({model.checkpoint.parameters}, samples);
    logits.insert(logits.end(), batch.begin(), batch.end());
  }
  return logits;
}

void write_logits(const Model& model, const std::string& path, std::int64_t size,
                  const std::vector<float>& logits) {
  Shape shape = model.output_shape();
  shape.insert(shape.begin(), size);
  write_file_atomically(path, npy_bytes(logits, shape));
  fmt::print("logits    {} ({} fp32)\n", path, shape_text(shape));
}

void infer_dataset(const InferArguments& arguments, Model& model) {
  const std::unique_ptr<const Dataset> dataset = load_data(arguments);
  check_fits(model, *dataset);
  const Split& split = arguments.split == "train" ? dataset->train : dataset->test;
  if (split.size == 0)
    throw DataError(text("data set '", dataset->name, "' has no ", arguments.split, " samples"));
  const std::vector<std::int64_t> indices = all_indices(split);
  const EvalSums sums =
      evaluate_share(*model.executor, model.checkpoint.parameters, *dataset, split, indices,
                     {.batch_size = kBatch, .rank = 0, .ranks = 1});
  fmt::print("accuracy  {:.4f} ({} of {} labels, {} {})\nloss      {:.4f}\n", sums.accuracy(),
             with_commas(sums.correct), with_commas(sums.labels), dataset->name, arguments.split,
             sums.loss());
  if (sums.not_finite > 0)
    fmt::print("labels without a finite loss: {}\n", with_commas(sums.not_finite));
  if (arguments.out.empty()) return;
  const std::vector<float> logits =
      all_logits(model, split.size, [&](std::int64_t first, std::int64_t count) {
        std::vector<float> samples(static_cast<std::size_t>(count * model.sample_size()));
        const std::span<const std::int64_t> all(indices);
        gather_samples(
            *dataset, split,
            all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)), samples);
        return samples;
      });
  write_logits(model, arguments.out, split.size, logits);
}

std::vector<float> scaled_bytes(const std::vector<std::uint8_t>& bytes) {
  std::vector<float> values;
  values.reserve(bytes.size());
  for (const std::uint8_t byte : bytes) values.push_back(static_cast<float>(byte) / 255.0F);
  return values;
}

// The array as the network takes it. Ids out of range are refused by the executor, naming the node.
std::vector<float> input_values(const NpyArray& array, const InputSpec& input) {
  Shape sample = array.shape;
  if (!sample.empty()) sample.erase(sample.begin());
  if (array.shape.empty() || sample != input.shape) {
    throw DataError(text(array.name, ": expected shape N x ", join(input.shape, " x "), ", got ",
                         array.shape.empty() ? "one value" : join(array.shape, " x ")));
  }
  if (input.type == ElementType::kInt32) {
    const std::vector<std::int32_t> ids = array.to_int32();
    return {ids.begin(), ids.end()};
  }
  return array.kind == 'u' ? scaled_bytes(array.bytes) : array.to_float32();
}

// Top-1 of the first rows; of a sequence the last step's.
void print_predictions(const Model& model, std::int64_t size, const std::vector<float>& logits) {
  const std::int64_t classes = model.output_shape().back();
  const std::vector<std::string>& names = model.input().label_names;
  Table table({"row", "class", "label", "logit"}, "rrlr");
  for (std::int64_t row = 0; row < std::min(size, kShownRows); ++row) {
    const auto end = logits.begin() + (row + 1) * model.output_size();
    const auto best = std::max_element(end - classes, end);
    const auto label = static_cast<std::size_t>(best - (end - classes));
    table.add({std::to_string(row), std::to_string(label),
               label < names.size() ? names[label] : "-", fmt::format("{:.3f}", *best)});
  }
  fmt::print("{}", table.text());
  if (size > kShownRows) fmt::print("... and {} rows more\n", with_commas(size - kShownRows));
}

void infer_array(const InferArguments& arguments, Model& model) {
  const NpyArray array = read_npy(*open_file(std::filesystem::path(arguments.input)));
  const std::vector<float> values = input_values(array, model.input());
  const std::int64_t size = array.shape.front();
  const auto sample_size = static_cast<std::size_t>(model.sample_size());
  const std::vector<float> logits =
      all_logits(model, size, [&](std::int64_t first, std::int64_t count) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(
                                                static_cast<std::size_t>(first) * sample_size);
        return std::vector<float>(
            begin,
            begin + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(count) * sample_size));
      });
  print_predictions(model, size, logits);
  if (!arguments.out.empty()) write_logits(model, arguments.out, size, logits);
}

}  // namespace

int infer_command(const InferArguments& arguments) {
  if (!arguments.artefact.ends_with(".safetensors")) {
    throw ConfigError(arguments.artefact +
                      ": expected a checkpoint (.safetensors), for example model/model.safetensors "
                      "of a run folder; other artefacts are not there yet");
  }
  Model model = load_model(arguments.artefact);
  if (!arguments.data.empty()) {
    infer_dataset(arguments, model);
  } else {
    infer_array(arguments, model);
  }
  return 0;
}

}  // namespace coppice
