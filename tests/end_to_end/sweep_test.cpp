// `coppice sweep`: many runs in one process, each the run that it would be alone.

#include <filesystem>
#include <string>

#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {
namespace {

class SweepTest : public RunTest {
 protected:
  // The summaries of a sweep over two seeds and two numbers of bits equal those of single runs.
  void expect_runs_as_alone(const RunRequest& ranks) const {
    RunRequest sweep = ranks;
    sweep.command = "sweep";
    sweep.out = "sweep";
    sweep.more = {"compressed.yaml", "seed=1,2", "compress.quantize.bits=8,4"};
    ASSERT_EQ(run(sweep).exit_code, 0);
    EXPECT_TRUE(Json::parse(content_of(path("sweep/sweep.json")), "sweep.json")
                    .at("is_finished")
                    .as_bool());
    std::size_t controls = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path("sweep")))
      controls += entry.path().filename().string().starts_with("control-") ? 1 : 0;
    EXPECT_EQ(controls, 2U);
    for (const char* seed : {"1", "2"}) {
      for (const char* bits : {"8", "4"}) {
        const std::string name = std::string("seed=") + seed + ",compress.quantize.bits=" + bits;
        RunRequest alone = ranks;
        alone.out = name;
        alone.more = {"compressed.yaml", std::string("seed=") + seed,
                      std::string("compress.quantize.bits=") + bits};
        const Json expected = summary_of(alone);
        const Json got = Json::parse(content_of(path("sweep/" + name + "/summary.json")), name);
        for (const char* field : {"model_sha256", "final_accuracy", "dense_accuracy",
                                  "validation_retention", "model_bytes"}) {
          EXPECT_EQ(got.at(field), expected.at(field)) << name << ' ' << field;
        }
        EXPECT_EQ(got.at("bytes_up").as_integer(), expected.at("bytes_up").as_integer() -
                                                       expected.at("control_bytes_up").as_integer())
            << name;
      }
    }
  }
};

TEST_F(SweepTest, EveryRunIsWhatItIsAlone) { expect_runs_as_alone({}); }

TEST_F(SweepTest, EveryRunIsWhatItIsAloneOnThreads) { expect_runs_as_alone({.threads = 3}); }

TEST_F(SweepTest, EveryRunIsWhatItIsAloneUnderMpi) { expect_runs_as_alone({.processes = 2}); }

}  // namespace
}  // namespace coppice::testing
