#include <fmt/core.h>

#include <algorithm>  // for max
#include <cmath>      // for sqrt

#include "comm/codec.h"
#include "comm/codecs/rotated.h"
#include "core/text.h"
#include "core/thread_time.h"
#include "launch/bench/bench.h"
#include "launch/tables.h"

namespace coppice {
namespace {

struct Case {
  std::string label;
  std::string name;
  CodecOptions options;
  std::int64_t budget_bits = 0;  // a value, in blocks with bits of their own; 0: no budget

  std::unique_ptr<Codec> codec(std::int64_t values) const {
    CodecOptions all = options;
    if (budget_bits > 0) all.max_bytes = rotated_frame_bytes(values, budget_bits);
    return make_codec(name, all);
  }
};

// Every codec of the list, with the options that change what it does.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const CodecInfo& info : known_codecs()) {
    const std::string name(info.name);
    if (name == "rotated") {
      for (const std::int64_t bits : {1, 2, 4, 8})
        all.push_back({text(name, '-', bits), name, {.bits = bits}});
      all.push_back({"rotated-budget-2", name, {}, 2});
    } else if (name == "qsgd" || name == "dadaquant") {
      for (const std::int64_t levels : {64, 1024})
        all.push_back({text(name, '-', levels), name, {.levels = levels}});
    } else if (name == "topk" || name == "stc") {
      for (const double fraction : {0.1, 0.01})
        all.push_back({text(name, '-', fraction), name, {.fraction = fraction}});
    } else {
      all.push_back({name, name, {}});
    }
  }
  return all;
}

// Like an update: normal, a hundredth in size.
std::vector<float> normal_values(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  RandomStream random({.seed = 1, .purpose = Purpose::kGenerated});
  for (float& value : values) value = static_cast<float>(0.01 * random.next_normal());
  return values;
}

RandomKey key_of(std::int64_t draw) {
  return {.seed = 1, .purpose = Purpose::kRounding, .client = 0, .task = draw};
}

struct Speed {
  Spread encode;
  Spread decode;
  double frame_bytes = 0.0;
};

// GB/s of fp32 values, after one run that warms up.
Speed speed_of(const Codec& codec, const CodecBenchSize& size) {
  const std::vector<float> values = normal_values(size.values);
  std::vector<float> decoded(values.size());
  std::vector<std::uint8_t> frame;
  std::vector<double> encode;
  std::vector<double> decode;
  const double gigabytes = static_cast<double>(size.values) * sizeof(float) * 1e-9;
  for (int run = 0; run <= size.runs; ++run) {
    const double begin = thread_seconds();
    codec.encode(values, key_of(run), frame);
    const double middle = thread_seconds();
    codec.decode(frame, decoded);
    const double end = thread_seconds();
    if (run == 0) continue;
    encode.push_back(gigabytes / (middle - begin));
    decode.push_back(gigabytes / (end - middle));
  }
  return {spread_of(std::move(encode)), spread_of(std::move(decode)),
          static_cast<double>(frame.size())};
}

struct Accuracy {
  double error = 0.0;  // root mean square of decoded - value, over that of the values
  double bias = 0.0;  // length of the mean error over that of the values, less what chance explains
  double bias_resolution = 0.0;  // below this, `bias` is not told from 0
};

// The squared length of the mean of m draws is that of the bias plus (variance / m); what chance
// adds or takes is sqrt(2 / n) of the second term, of which three are given for the resolution.
Accuracy accuracy_of(const Codec& codec, const CodecBenchSize& size) {
  const std::vector<float> values = normal_values(size.bias_values);
  std::vector<float> decoded(values.size());
  std::vector<std::uint8_t> frame;
  std::vector<double> sums(values.size());
  double squared_error = 0.0;
  for (int draw = 0; draw < size.draws; ++draw) {
    codec.encode(values, key_of(draw), frame);
    codec.decode(frame, decoded);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = double{decoded[i]} - double{values[i]};
      sums[i] += error;
      squared_error += error * error;
    }
  }
  double square = 0.0;
  double squared_mean = 0.0;
  const auto draws = static_cast<double>(size.draws);
  for (std::size_t i = 0; i < values.size(); ++i) {
    square += double{values[i]} * double{values[i]};
    squared_mean += sums[i] / draws * (sums[i] / draws);
  }
  const double variance =
      std::max(0.0, (squared_error - draws * squared_mean) / (draws - 1.0)) / draws;
  const double chance = 3.0 * variance * std::sqrt(2.0 / static_cast<double>(size.bias_values));
  return {std::sqrt(squared_error / draws / square),
          std::sqrt(std::max(0.0, squared_mean - variance) / square), std::sqrt(chance / square)};
}

std::string bias_text(const Accuracy& accuracy) {
  if (accuracy.bias > accuracy.bias_resolution || accuracy.error == 0.0)
    return fmt::format("{:.2g}", accuracy.bias);
  return fmt::format("<{:.1g}", accuracy.bias_resolution);
}

}  // namespace

BenchReport bench_codecs(const CodecBenchSize& size) {
  BenchReport report;
  report.subject =
      text("updates of ", size.values, " normal values, median of ", size.runs,
           " runs by the time of one core; bias: length of the mean error of ", size.draws,
           " keys on ", size.bias_values, " values over that of the values");
  report.facts.set("values", size.values);
  report.facts.set("runs", size.runs);
  report.facts.set("bias_values", size.bias_values);
  report.facts.set("draws", size.draws);
  Table table({"codec", "bits", "encode GB/s", "decode GB/s", "ratio", "error", "bias"}, "lrrrrrr");
  const double fp32_bytes = static_cast<double>(size.values) * sizeof(float);
  for (const Case& one : cases()) {
    const Speed speed = speed_of(*one.codec(size.values), size);
    const Accuracy accuracy = accuracy_of(*one.codec(size.bias_values), size);
    const double ratio = fp32_bytes / speed.frame_bytes;
    const auto add = [&](const char* what, const char* unit, Spread spread) {
      report.figures.push_back({one.label + '.' + what, unit, spread});
    };
    const auto add_one = [&](const char* what, double value) {
      add(what, "", {value, value, value});
    };
    add("encode", "GB/s", speed.encode);
    add("decode", "GB/s", speed.decode);
    add_one("ratio", ratio);
    add_one("error", accuracy.error);
    add_one("bias", accuracy.bias);
    add_one("bias_resolution", accuracy.bias_resolution);
    table.add({one.label, fmt::format("{:.3f}", 32.0 / ratio),
               fmt::format("{:.2f}", speed.encode.median),
               fmt::format("{:.2f}", speed.decode.median), fmt::format("{:.2f}", ratio),
               fmt::format("{:.5f}", accuracy.error), bias_text(accuracy)});
  }
  report.table = table.text();
  return report;
}

}  // namespace coppice
