// The same network in four forms on the real test images: the executor's fake quantization, the
// .cpk in the interpreter, and the ONNX file in onnxruntime.

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

// Logits of the test images by onnxruntime, beside those of two .npy files: how often the classes
// agree, the accuracies, and the largest difference of a logit.
constexpr const char* kCompare = R"(
import gzip, json, sys
import numpy, onnxruntime
def idx(name, skip):
    with gzip.open(sys.argv[1] + '/' + name) as file:
        return numpy.frombuffer(file.read()[skip:], numpy.uint8)
images = idx('t10k-images-idx3-ubyte.gz', 16).reshape(-1, 1, 28, 28).astype(numpy.float32) / 255
labels = idx('t10k-labels-idx1-ubyte.gz', 8)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options, providers=['CPUExecutionProvider'])
onnx = numpy.concatenate([session.run(None, {'input': images[i:i + 500]})[0]
                          for i in range(0, len(images), 500)])
cpk, executor = numpy.load(sys.argv[3]), numpy.load(sys.argv[4])
top = lambda logits: logits.argmax(1)
print(json.dumps({
    'images': len(images),
    'onnx_agreement': float((top(onnx) == top(cpk)).mean()),
    'executor_agreement': float((top(executor) == top(cpk)).mean()),
    'onnx_accuracy': float((top(onnx) == labels).mean()),
    'cpk_accuracy': float((top(cpk) == labels).mean())}))
)";

class DeploymentTest : public RunTest, public ::testing::WithParamInterface<std::string> {
 protected:
  static constexpr const char* kImages = "/usr/share/datasets/fashion-mnist";

  void SetUp() override {
    if (!fs::exists(kImages)) GTEST_SKIP() << kImages << " is not there";
    const Outcome found = run_command(
        {.arguments = {python(), "-c", "import numpy, onnxruntime"}, .environment = {}});
    if (found.exit_code != 0) GTEST_SKIP() << "no Python with onnxruntime: " << found.err;
  }

  static std::string python() { return std::string(COPPICE_SOURCE_DIR) + "/.deps/venv/bin/python"; }

  void infer(const std::string& model, const std::string& out) const {
    const Outcome outcome =
        run_command({.arguments = {std::string(COPPICE_BINARY_DIR) + "/coppice", "infer", model,
                                   "--data", "fashion_mnist", "--out", out},
                     .environment = {},
                     .folder = folder()});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  }
};

TEST_P(DeploymentTest, EveryFormGivesTheSameClasses) {
  summary_of({.more = {std::string(COPPICE_SOURCE_DIR) + "/configs/fashion_mnist.yaml",
                       "train={rounds: 2, local_epochs: 1, clients_per_round: 3}",
                       "train.schedule.name=constant", "data.partition.scheme=iid",
                       "compress.control=false", "compress.distill.teacher=none",
                       "compress.constraints={max_bytes: null, max_latency: null, "
                       "min_retention: null}",
                       "compress.quantize={start: 0.5, bits: " + GetParam() + "}"}});
  infer("run/model/model.cpk", "cpk.npy");
  infer("run/model/model.safetensors", "executor.npy");
  const Outcome outcome = run_command(
      {.arguments = {python(), "-c", kCompare, kImages, path("run/model/model.onnx").string(),
                     path("cpk.npy").string(), path("executor.npy").string()},
       .environment = {}});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json result = Json::parse(outcome.out, "python");
  EXPECT_EQ(result.at("images").as_integer(), 10'000);
  EXPECT_GE(result.at("onnx_agreement").as_number(), 0.999) << outcome.out;
  EXPECT_GE(result.at("executor_agreement").as_number(), 0.999) << outcome.out;
  EXPECT_NEAR(result.at("onnx_accuracy").as_number(), result.at("cpk_accuracy").as_number(), 0.001);
  EXPECT_GT(result.at("cpk_accuracy").as_number(), 0.6) << outcome.out;  // it has learned something
}

INSTANTIATE_TEST_SUITE_P(Bits, DeploymentTest, ::testing::Values("8", "4"));

}  // namespace
}  // namespace coppice::testing
