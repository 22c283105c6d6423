// `coppice infer`: a model on a data set or on an array.

#include <fmt/core.h>

#include <algorithm>  // for min
#include <cmath>      // for exp, log

#include "client/evaluation.h"
#include "coordinator/durable_file.h"
#include "core/error.h"
#include "core/text.h"
#include "data/npy.h"
#include "deploy/validation.h"
#include "launch/commands.h"
#include "launch/loaded_model.h"
#include "launch/tables.h"

namespace coppice {
namespace {

constexpr std::int64_t kBatch = 500;
constexpr std::int64_t kShownRows = 10;

// Logits of samples [0, size), a batch at a time: gather(first, count) gives the samples of a
// batch.
template <typename Gather>
std::vector<float> all_logits(LoadedModel& model, std::int64_t size, Gather&& gather) {
  std::vector<float> logits;
  logits.reserve(static_cast<std::size_t>(size * model.output_size()));
  for (std::int64_t first = 0; first < size; first += kBatch) {
    const std::vector<float> samples = gather(first, std::min(kBatch, size - first));
    const std::vector<float> batch = model.logits(samples);
    logits.insert(logits.end(), batch.begin(), batch.end());
  }
  return logits;
}

void write_logits(const LoadedModel& model, const std::string& path, std::int64_t size,
                  const std::vector<float>& logits) {
  Shape shape = model.output_shape();
  shape.insert(shape.begin(), size);
  write_file_atomically(path, npy_bytes(logits, shape));
  fmt::print("logits    {} ({} fp32)\n", path, shape_text(shape));
}

void print_accuracy(const LoadedModel& model, const Dataset& dataset, const Split& split,
                    const std::vector<float>& logits) {
  const auto classes = static_cast<std::size_t>(model.output_shape().back());
  std::int64_t correct = 0;
  double loss = 0.0;
  for (std::size_t i = 0; i < split.labels.size(); ++i) {
    const auto row = std::span(logits).subspan(i * classes, classes);
    const std::int64_t best = top_class(row);
    correct += best == split.labels[i] ? 1 : 0;
    const double largest = row[static_cast<std::size_t>(best)];
    double sum = 0.0;
    for (const float logit : row) sum += std::exp(double{logit} - largest);
    loss += std::log(sum) + largest - double{row[static_cast<std::size_t>(split.labels[i])]};
  }
  const auto labels = static_cast<double>(split.labels.size());
  fmt::print("accuracy  {:.4f} ({} of {} labels, {})\nloss      {:.4f}\n",
             static_cast<double>(correct) / labels, with_commas(correct),
             with_commas(static_cast<std::int64_t>(split.labels.size())), dataset.name,
             loss / labels);
}

void infer_dataset(const InferArguments& arguments, LoadedModel& model) {
  const std::unique_ptr<const Dataset> dataset =
      load_named_data(arguments.data, arguments.root, arguments.overrides);
  check_fits(model, *dataset);
  fmt::print("{}", label_note(model, *dataset));
  const Split& split = arguments.split == "train" ? dataset->train : dataset->test;
  if (split.size == 0)
    throw DataError(text("data set '", dataset->name, "' has no ", arguments.split, " samples"));
  const std::vector<std::int64_t> indices = all_indices(split);
  const std::vector<float> logits =
      all_logits(model, split.size, [&](std::int64_t first, std::int64_t count) {
        std::vector<float> samples(static_cast<std::size_t>(count * model.sample_size()));
        const std::span<const std::int64_t> all(indices);
        gather_samples(
            *dataset, split,
            all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)), samples);
        return samples;
      });
  print_accuracy(model, *dataset, split, logits);
  if (!arguments.out.empty()) write_logits(model, arguments.out, split.size, logits);
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
void print_predictions(const LoadedModel& model, std::int64_t size,
                       const std::vector<float>& logits) {
  const auto classes = static_cast<std::size_t>(model.output_shape().back());
  const auto outputs = static_cast<std::size_t>(model.output_size());
  const std::vector<std::string>& names = model.input().label_names;
  Table table({"row", "class", "label", "logit"}, "rrlr");
  for (std::int64_t row = 0; row < std::min(size, kShownRows); ++row) {
    const std::size_t end = (static_cast<std::size_t>(row) + 1) * outputs;
    const auto last = std::span(logits).subspan(end - classes, classes);
    const auto label = static_cast<std::size_t>(top_class(last));
    table.add({std::to_string(row), std::to_string(label),
               label < names.size() ? names[label] : "-", fmt::format("{:.3f}", last[label])});
  }
  fmt::print("{}", table.text());
  if (size > kShownRows) fmt::print("... and {} rows more\n", with_commas(size - kShownRows));
}

void infer_array(const InferArguments& arguments, LoadedModel& model) {
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
  LoadedModel model(arguments.artefact, arguments.threads);
  if (!arguments.data.empty()) {
    infer_dataset(arguments, model);
  } else {
    infer_array(arguments, model);
  }
  return 0;
}

}  // namespace coppice
