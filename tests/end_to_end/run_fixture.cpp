#include "tests/end_to_end/run_fixture.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/end_to_end/tiny_data.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

// Channels that fill registers and a matrix that is stepped in pieces: the resident executor's
// other layout.
constexpr std::string_view kWideModel = R"(model:
  layers:
    - {op: conv2d, out: 16, kernel: [3, 3]}
    - {op: relu}
    - {op: conv2d, out: 16, kernel: [3, 3]}
    - {op: relu}
    - {op: max_pool2d, kernel: [2, 2]}
    - {op: flatten}
    - {op: linear, out: 40}
    - {op: relu}
    - {op: linear, out: 4}
)";

constexpr const char* kTinyConfig = R"(name: tiny
seed: 3
data: {name: idx, root: images, partition: {scheme: iid, clients: 5}}
train: {rounds: 3, batch_size: 8, optimizer: {name: sgd, lr: 0.05, momentum: 0.9}}
compress:
  control: true
  prune: {pruner: magnitude, target: 0.5}
)";

// Ranges are counted after rounds 2 and 3; round 3 is quantized; the control teaches all of them.
constexpr const char* kCompression = R"(  quantize: {bits: 8, start: 0.6, calibration_samples: 12}
  distill: {teacher: control}
)";

// Channels go after round 1; layers get densities and bits after rounds 1 and 2.
constexpr const char* kAllocation = R"(  constraints: {max_bytes: 800}
  allocate: {allocator: joint, batches: 2, half_batch: 4}
)";

// Choices after rounds 2 and 3 of the six, judged after 3 and 4; the models of 5 and 6 are
// averaged.
constexpr const char* kGatedConfig = R"(name: tiny
seed: 3
data: {name: idx, root: images, partition: {scheme: iid, clients: 5}, validation_fraction: 0.3}
model: {name: mlp, hidden: [12, 8]}
train: {rounds: 6, batch_size: 8, optimizer: {name: sgd, lr: 0.05, momentum: 0.9}}
compress:
  control: true
  constraints: {max_bytes: 2000, min_retention: 0.5}
  allocate: {allocator: joint, start: 0.35, end: 0.7, steps: 2, batches: 2, half_batch: 4}
  gate: {recovery_rounds: 1}
  quantize: {start: 0.7, average: 0.4, calibration_samples: 12}
)";

// What may differ between two runs of the same experiment.
bool is_measured(const std::string& key) {
  return key.find("seconds") != std::string::npos || key == "samples_per_second" ||
         key == "peak_rss_bytes" || key == "utilisation" || key == "latency_us" ||
         key == "peak_memory_bytes";
}

std::string without_measurements(const Json& json) {
  Json out{Json::Object{}};
  for (const auto& [key, value] : json.as_object()) {
    if (is_measured(key)) continue;
    const bool is_certificate = key == "certificate" && value.is_object();
    out.set(key, is_certificate ? Json(without_measurements(value)) : value);
  }
  return out.dump();
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

}  // namespace

RunTest::RunTest() {
  write_tiny_idx(path("images"));
  write("tiny.yaml", kTinyConfig + std::string("model: {name: mlp, hidden: [12, 8]}\n"));
  write("compressed.yaml",
        std::string(kTinyConfig) + kCompression + "model: {name: mlp, hidden: [12, 8]}\n");
  write("allocated.yaml", std::string(kTinyConfig) + kAllocation + kCompression +
                              "model: {name: mlp, hidden: [12, 8]}\n");
  write("gated.yaml", kGatedConfig);
  write("lenet5.yaml", kTinyConfig + std::string("model: {name: lenet5}\n"));
  write("wide.yaml", kTinyConfig + std::string(kWideModel));
  write("resnet20.yaml", kTinyConfig + std::string("model: {name: resnet20}\n"));
}

Command RunTest::command(const RunRequest& request) const {
  Command out{.arguments = {}, .environment = request.environment, .folder = folder()};
  if (request.processes > 0) {
    out.arguments = {std::string(COPPICE_SOURCE_DIR) + "/launch/mpirun", "-np",
                     std::to_string(request.processes)};
  }
  for (const std::string& argument :
       {std::string(COPPICE_BINARY_DIR) + "/coppice", request.command}) {
    out.arguments.push_back(argument);
  }
  const auto is_config = [](const std::string& text) { return text.ends_with(".yaml"); };
  if (request.more.empty() || !is_config(request.more.front()))
    out.arguments.emplace_back("tiny.yaml");
  out.arguments.insert(out.arguments.end(), request.more.begin(), request.more.end());
  out.arguments.insert(out.arguments.end(), {"--out", request.out, "--json"});
  if (request.threads > 0)
    out.arguments.insert(out.arguments.end(), {"--ranks", std::to_string(request.threads)});
  return out;
}

Json RunTest::summary_of(const RunRequest& request) const {
  const Outcome outcome = run(request);
  if (outcome.exit_code != 0) {
    throw std::runtime_error("exit code " + std::to_string(outcome.exit_code) + ", signal " +
                             std::to_string(outcome.signal) + "\n" + outcome.out + outcome.err);
  }
  return Json::parse(last_line(outcome.out), "stdout");
}

void RunTest::expect_refused(const RunRequest& request, const std::string& said) const {
  const Snapshot before = snapshot(folder());
  const Outcome outcome = run(request);
  EXPECT_EQ(outcome.exit_code, 2) << "signal " << outcome.signal << '\n'
                                  << outcome.out << outcome.err;
  // mpirun adds paragraphs of its own, which begin with a ruler.
  const std::size_t end = request.processes > 0 ? outcome.err.find("-----") : std::string::npos;
  expect_one_paragraph(outcome.err.substr(0, end), said);
  EXPECT_EQ(outcome.err.find("MPI_ABORT"), std::string::npos) << outcome.err;
  EXPECT_EQ(difference(before, snapshot(folder())), "") << outcome.err;
}

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Snapshot snapshot(const fs::path& folder) {
  Snapshot out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_directory()) {
      out[name + '/'] = "";
    } else if (entry.is_regular_file()) {
      out[name] = content_of(entry.path());
    }
  }
  return out;
}

std::string difference(const Snapshot& before, const Snapshot& after) {
  std::string out;
  for (const auto& [name, bytes] : before) {
    const auto found = after.find(name);
    if (found == after.end()) {
      out += name + " is gone\n";
    } else if (found->second != bytes) {
      out += name + " has changed\n";
    }
  }
  for (const auto& [name, bytes] : after) {
    if (!before.contains(name)) out += name + " is new\n";
  }
  return out;
}

RunResult result_of(const fs::path& run) {
  RunResult out;
  std::istringstream lines(content_of(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    out.metrics.push_back(without_measurements(Json::parse(line, "metrics.jsonl")));
  }
  out.model = content_of(run / "model" / "model.safetensors");
  out.dense = content_of(run / "model" / "dense.safetensors");
  out.cpk = content_of(run / "model" / "model.cpk");
  out.onnx = content_of(run / "model" / "model.onnx");
  out.summary = without_measurements(Json::parse(content_of(run / "summary.json"), "summary.json"));
  return out;
}

void expect_one_paragraph(const std::string& text, const std::string& said) {
  EXPECT_EQ(count_of(text, "coppice: "), 1U) << text;
  EXPECT_NE(text.find(said), std::string::npos) << "expected '" << said << "' in: " << text;
  EXPECT_EQ(text.find("\n\n"), std::string::npos) << text;
  for (const char* trace : {"terminate called", "what():", "Backtrace", "frame #",
                            "AddressSanitizer", "Exception raised from"}) {
    EXPECT_EQ(text.find(trace), std::string::npos) << text;
  }
  EXPECT_TRUE(text.ends_with('\n')) << text;
}

}  // namespace coppice::testing
