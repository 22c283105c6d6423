// Two budgets at once: a table in which blocks pay makes the allocator take blocks, and the file
// keeps what the choice promised.

#include <sstream>

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

constexpr double kDenseUs = 40.0;  // a layer of 8 bits
constexpr double kOtherUs = 1.0;

// What a layer takes in the made-up table, whatever its width.
double made_up_us(const Json& grid, double density) {
  const std::int64_t bits = grid.at("bits").as_integer();
  if (bits == 0) return kOtherUs;
  if (grid.at("layout").as_text() == "blocks") return kDenseUs * (density + 0.1);
  return bits == 8 ? kDenseUs : 1.05 * kDenseUs;
}

Json with_made_up_times(const Json& grid) {
  Json::Array times;
  const std::size_t widths = grid.at("in").as_array().size() * grid.at("out").as_array().size();
  for (std::size_t i = 0; i < widths; ++i) {
    for (const Json& density : grid.at("density").as_array())
      times.emplace_back(made_up_us(grid, density.as_number()));
  }
  Json out;
  for (const auto& [key, value] : grid.as_object())
    out.set(key, key == "microseconds" ? Json(times) : value);
  return out;
}

class BlockAllocationRunTest : public RunTest {
 protected:
  // table.json: a measured table of the config's network, with times that are the same everywhere.
  void write_table(const std::string& config) const {
    const Outcome bench =
        run_command({.arguments = {std::string(COPPICE_BINARY_DIR) + "/coppice", "bench", "lut",
                                   config, "--out", "measured.json", "--check", "1"},
                     .environment = {},
                     .folder = folder()});
    ASSERT_EQ(bench.exit_code, 0) << bench.out << bench.err;
    const Json measured = Json::parse(content_of(path("measured.json")), "measured.json");
    Json table;
    for (const auto& [key, value] : measured.as_object()) {
      if (key != "layers") {
        table.set(key, value);
        continue;
      }
      Json::Array layers;
      for (const Json& layer : value.as_array()) {
        Json copy;
        for (const auto& [field, content] : layer.as_object()) {
          if (field != "grids") {
            copy.set(field, content);
            continue;
          }
          Json::Array grids;
          for (const Json& grid : content.as_array()) grids.push_back(with_made_up_times(grid));
          copy.set(field, grids);
        }
        layers.push_back(copy);
      }
      table.set(key, layers);
    }
    write("table.json", table.dump());
  }

  std::vector<std::string> allocated(const std::string& config, const std::string& limits) const {
    return {config,
            "compress.control=false",
            "compress.distill.teacher=none",
            "compress.prune.pruner=none",
            "compress.latency_table=table.json",
            "compress.constraints=" + limits,
            "compress.allocate={allocator: joint, densities: [1, 0.5, 0.2], block_densities: "
            "[0.75, 0.5, 0.25, 0.125], bits: [4, 8], batches: 2, half_batch: 4}"};
  }

  // Of the last choice.
  Json last_allotment(const std::string& out) const {
    Json last;
    std::istringstream lines(content_of(path(out) / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line, "metrics");
      if (!json.at("allotment").is_null()) last = json.at("allotment");
    }
    return last;
  }
};

TEST_F(BlockAllocationRunTest, BlocksAreChosenStoredAndAsFastAsPromised) {
  write_table("lenet5.yaml");
  constexpr double kLimit = 130.0;  // dense: five layers of 40 us
  constexpr std::int64_t kBytes = 16'000;
  const Json summary =
      summary_of({.more = allocated("lenet5.yaml", "{max_bytes: 16000, max_latency: 130us}")});
  EXPECT_LE(summary.at("model_bytes").as_integer(), kBytes);
  const Json allotment = last_allotment("run");
  EXPECT_TRUE(allotment.at("fits").as_bool());
  EXPECT_LE(allotment.at("microseconds").as_number(), kLimit);
  const Json report = Json::parse(content_of(path("run/model/report.json")), "report.json");
  EXPECT_LE(report.at("predicted_us").as_number(), allotment.at("microseconds").as_number() + 1e-3);
  int blocks = 0;
  for (const Json& layer : report.at("layouts").as_array()) {
    if (layer.at("layout").as_text() != "blocks") continue;
    ++blocks;
    EXPECT_LE(layer.at("block_density").as_number(), 0.76);
  }
  EXPECT_GE(blocks, 2);  // two layers at the least save 80 us
  // The same bytes without a limit on time: single weights go, and the network stays slow.
  summary_of({.out = "slow", .more = allocated("lenet5.yaml", "{max_bytes: 16000}")});
  EXPECT_GT(last_allotment("slow").at("microseconds").as_number(), kLimit);
}

// What is masked is the network that is quantized in the end, in which norms are folded.
TEST_F(BlockAllocationRunTest, BatchNormsAreFoldedBeforeAnythingIsMasked) {
  write("norms.yaml", R"(name: norms
seed: 1
model:
  layers:
    - {op: conv2d, out: 8, kernel: [5, 5], stride: [2, 2], bias: false}
    - {op: batch_norm}
    - {op: relu}
    - {op: flatten}
    - {op: linear, out: 4}
data: {name: idx, root: images, partition: {scheme: iid, clients: 5}}
train: {rounds: 4, batch_size: 8}
compress:
  constraints: {max_bytes: 2500}
  allocate: {allocator: joint, batches: 2, half_batch: 4, steps: 2, start: 0.3, end: 0.5}
)");
  const Json summary = summary_of({.more = {"norms.yaml"}});
  EXPECT_LE(summary.at("model_bytes").as_integer(), 2500);
  EXPECT_LT(summary.at("parameters").as_integer(), summary.at("dense_parameters").as_integer());
}

TEST_F(BlockAllocationRunTest, WhatNeedsATableIsRefusedWithoutOne) {
  expect_refused({.more = {"allocated.yaml", "compress.constraints.max_latency=1ms"}},
                 "compress.latency_table");
  expect_refused({.more = {"allocated.yaml", "compress.constraints.max_bytes=null"}},
                 "set compress.constraints.max_bytes or max_latency");
}

TEST_F(BlockAllocationRunTest, AnotherTableCannotResumeARun) {
  write_table("allocated.yaml");
  const std::vector<std::string> more{"allocated.yaml", "compress.latency_table=table.json"};
  summary_of({.more = more});
  std::string table = content_of(path("table.json"));
  const std::size_t at = table.find("\"cpu\":\"");
  ASSERT_NE(at, std::string::npos);
  write("table.json", table.insert(at + 7, "other "));
  std::vector<std::string> resumed = more;
  resumed.emplace_back("--resume");
  expect_refused({.more = resumed}, "resuming would use");
}

class MpiBlockAllocationTest : public BlockAllocationRunTest {};

TEST_F(MpiBlockAllocationTest, ModelIsOneForEveryNumberOfProcesses) {
  write_table("allocated.yaml");
  std::vector<std::string> more = allocated("allocated.yaml", "{max_latency: 90us}");
  more.emplace_back("compress.allocate.class_balance=true");
  const std::string alone = model_of({.out = "alone", .more = more});
  for (const int processes : {1, 2, 3}) {
    const std::string out = "np" + std::to_string(processes);
    EXPECT_EQ(model_of({.out = out, .more = more, .processes = processes}), alone) << processes;
    EXPECT_EQ(result_of(path(out)).metrics, result_of(path("alone")).metrics) << processes;
  }
  EXPECT_EQ(model_of({.out = "threads", .more = more, .threads = 3}), alone);
}

}  // namespace
}  // namespace coppice::testing
