// One model_sha256 for one experiment, whoever trains which client and however the sums travel.

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

struct Variety {
  const char* name;
  std::vector<std::string> overrides;
};
std::ostream& operator<<(std::ostream& out, const Variety& variety) { return out << variety.name; }

const std::vector<std::string> kSomeClientsInt8{"lenet5.yaml", "train.clients_per_round=3",
                                                "comm.codec=int8", "train.rounds=2"};

std::vector<std::string> with_codec(const std::string& codec) {
  return {"train.rounds=2", "train.clients_per_round=4", "comm.codec=" + codec};
}

// The model before its first shrink teaches, also by what one of its layers puts out.
const std::vector<std::string> kWarmUpTeacher4Bits{
    "lenet5.yaml",
    "train.rounds=4",
    "train.clients_per_round=4",
    "compress.control=false",
    "compress.prune.start=0.25",
    "compress.prune.end=0.5",
    "compress.quantize={bits: 4, start: 0.5, average: 0.5, calibration_samples: 7}",
    "compress.distill={teacher: warmup, feature: relu4, feature_weight: 2}"};

const std::vector<std::string> kFeedback{"allocated.yaml", "comm.codec=topk",
                                         "comm.error_feedback=true", "train.clients_per_round=3"};

const std::vector<std::string> kBudgetAndChanges{
    "compressed.yaml", "comm={codec: rotated, budget: 3000, downlink: {codec: rotated, bits: 6}}",
    "train.clients_per_round=4", "data.partition.scheme=dirichlet", "data.partition.min_samples=4"};

// Choices that may be taken back, of a model that travels as changes, with what updates left out.
const std::vector<std::string> kGatedChanges{
    "gated.yaml",
    "comm={codec: stc, fraction: 0.3, error_feedback: true, downlink: {codec: rotated, bits: 6}}",
    "train.clients_per_round=4"};

// The mask is made after round 1 and moved after rounds 2 to 4.
std::vector<std::string> moving(const std::string& allocator) {
  return {"allocated.yaml", "train.rounds=6", "compress.prune.pruner=none",
          "compress.allocate.allocator=" + allocator, "compress.allocate.start=0"};
}

class MpiModelTest : public RunTest, public ::testing::WithParamInterface<Variety> {};

TEST_P(MpiModelTest, IsOneForEveryNumberOfProcessesAndThreads) {
  const std::vector<std::string>& more = GetParam().overrides;
  const std::string alone = model_of({.out = "alone", .more = more});
  ASSERT_EQ(alone.size(), 64U);
  for (const int processes : {1, 2, 3, 4}) {
    const std::string out = "np" + std::to_string(processes);
    EXPECT_EQ(model_of({.out = out, .more = more, .processes = processes}), alone)
        << processes << " processes";
    EXPECT_EQ(result_of(path(out)).metrics, result_of(path("alone")).metrics)
        << processes << " processes";
  }
  for (const int threads : {1, 3}) {
    const std::string out = "threads" + std::to_string(threads);
    EXPECT_EQ(model_of({.out = out, .more = more, .threads = threads}), alone)
        << threads << " threads";
    EXPECT_EQ(result_of(path(out)).metrics, result_of(path("alone")).metrics)
        << threads << " threads";
  }
}

TEST_P(MpiModelTest, IsOneWhenRanksPretendToSitOnSeveralNodes) {
  const std::vector<std::string>& more = GetParam().overrides;
  const std::string alone = model_of({.out = "alone", .more = more});
  const auto on_nodes = [&](int processes, const char* nodes) {
    return model_of({.out = std::string("nodes") + nodes,
                     .more = more,
                     .processes = processes,
                     .environment = {std::string("COPPICE_FORCED_NODES=") + nodes}});
  };
  EXPECT_EQ(on_nodes(3, "2"), alone);
  EXPECT_EQ(on_nodes(4, "3"), alone);
}

INSTANTIATE_TEST_SUITE_P(
    Experiments, MpiModelTest,
    ::testing::Values(
        Variety{"AllClientsDense", {}}, Variety{"SomeClientsInt8", kSomeClientsInt8},
        Variety{"Int4", with_codec("int4")}, Variety{"TopK", with_codec("topk")},
        Variety{"Rotated", with_codec("rotated")}, Variety{"TopKFeedback", kFeedback},
        Variety{"BudgetAndChangesDown", kBudgetAndChanges},
        Variety{"DadaquantStalling",
                {"train.rounds=5", "comm.codec=dadaquant", "train.optimizer.lr=1e-6"}},
        Variety{"WideChannels", {"wide.yaml", "train.rounds=2"}},
        Variety{"Compressed", {"compressed.yaml"}}, Variety{"Allocated", {"allocated.yaml"}},
        Variety{
            "AllocatedRotated",
            {"allocated.yaml", "comm.codec=rotated", "comm.bits=2", "train.clients_per_round=3"}},
        Variety{"Gated", {"gated.yaml"}},
        Variety{"GatedSomeClients", {"gated.yaml", "train.clients_per_round=3"}},
        Variety{"GatedChanges", kGatedChanges},
        Variety{"AllocatedTopK", {"allocated.yaml", "comm.codec=topk"}},
        Variety{"Feddst", moving("feddst")}, Variety{"Fedrts", moving("fedrts")},
        Variety{"WarmUpTeacher4Bits", kWarmUpTeacher4Bits},
        Variety{"TaylorBallots", {"compress.prune.pruner=taylor"}},
        Variety{"Student",
                {"compressed.yaml", "compress.prune.pruner=none", "compress.distill.student=mlp",
                 "compress.distill.student_hidden=[4]"}},
        Variety{
            "SkewedClientsAdamw",
            {"data.partition.scheme=dirichlet", "data.partition.alpha=0.3",
             "data.partition.min_samples=4", "train.optimizer.name=adamw",
             "train.optimizer.momentum=0", "train.optimizer.lr=0.01", "strategy.name=fedprox"}}),
    [](const auto& test) { return test.param.name; });

using ModelTest = RunTest;

TEST_F(ModelTest, DependsOnTheSeed) {
  EXPECT_NE(model_of({.out = "three"}), model_of({.out = "four", .more = {"seed=4"}}));
}

TEST_F(ModelTest, DoesNotDependOnTheFolderOrTheNumberOfThreadsOfARank) {
  const std::string one = model_of({.out = "one"});
  EXPECT_EQ(model_of({.out = "deep/er/two", .environment = {"OMP_NUM_THREADS=2"}}), one);
}

TEST_F(RunTest, AskedToForceNodesThatAreNoNumberIsRefused) {
  for (const char* nodes : {"two", "-1", "2 ", "", "99999999999"}) {
    expect_refused({.environment = {std::string("COPPICE_FORCED_NODES=") + nodes}},
                   "COPPICE_FORCED_NODES");
  }
}

}  // namespace
}  // namespace coppice::testing
