#pragma once
// onnxruntime as an independent judge of the files that to_onnx() writes.

#include <string>
#include <vector>

#include "core/checkpoint.h"

namespace coppice {

// A python3 that has numpy and onnxruntime: the one that set-up made, or the system's. Empty if
// there is none.
std::string onnx_python();

struct OracleCase {
  std::string name;  // letters and digits
  Checkpoint checkpoint;
  std::vector<float> samples;  // ids are whole numbers
  std::string file = {};       // an ONNX file that is run as it is; empty: the checkpoint's
};

struct OracleResult {
  std::vector<std::vector<float>> logits;  // one a case
  std::string output;                      // what the script printed
};

// Exports every case that has no file and runs tests/deploy_onnx_slow/run_onnx.py once; `level` is
// plain or optimized. Throws std::runtime_error with what the script said if it failed.
OracleResult run_oracle(const std::string& interpreter, const std::string& level,
                        const std::vector<OracleCase>& cases);

// max |a - b| / max |b|; infinity for other sizes.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b);

// `count` samples that fit the graph's input: uniform in [0, 1), or ids below `vocabulary`.
std::vector<float> random_samples(const Graph& graph, std::int64_t count, std::int64_t vocabulary);

// Random weights; batch_norm's statistics and all affine parameters get values that matter.
std::vector<float> random_parameters(const Graph& graph, std::uint64_t seed);

}  // namespace coppice
