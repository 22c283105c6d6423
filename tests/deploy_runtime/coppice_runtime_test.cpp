#include "deploy/runtime/coppice_runtime.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "tests/deploy_runtime/cpk_forge.h"
#include "tests/deploy_runtime/programs.h"

namespace coppice::runtime {
namespace {

Program small_lenet() { return in_panels(lenet(8, 8, 40, 30)); }

class LibraryTest : public ::testing::Test {
 protected:
  void TearDown() override {
    coppice_session_destroy(session_);
    coppice_model_destroy(model_);
  }

  void read(const Program& program) {
    const Bytes file = write_cpk(program);
    ASSERT_EQ(coppice_model_from_memory(file.data(), file.size(), &model_), kCoppiceOk)
        << coppice_last_error();
  }

  CoppiceModel* model_ = nullptr;
  CoppiceSession* session_ = nullptr;
};

TEST_F(LibraryTest, SaysWhatTheModelIs) {
  read(small_lenet());
  EXPECT_STREQ(coppice_version(), COPPICE_RUNTIME_VERSION);
  EXPECT_STREQ(coppice_model_name(model_), "lenet5");
  EXPECT_EQ(coppice_model_input_size(model_), 784U);
  EXPECT_EQ(coppice_model_output_size(model_), 10U);
  ASSERT_EQ(coppice_model_input_rank(model_), 3U);
  EXPECT_EQ(coppice_model_input_axis(model_, 0), 1U);
  EXPECT_EQ(coppice_model_input_axis(model_, 2), 28U);
  EXPECT_EQ(coppice_model_input_axis(model_, 3), 0U);
  ASSERT_EQ(coppice_model_label_count(model_), 10U);
  EXPECT_STREQ(coppice_model_label(model_, 9), "label9");
  EXPECT_EQ(coppice_model_label(model_, 10), nullptr);
  EXPECT_EQ(coppice_model_isa(model_), std::string(Engine(small_lenet()).isa()));
}

TEST_F(LibraryTest, OutputsAreTheInterpretersForEveryNumberOfThreads) {
  const Program program = small_lenet();
  read(program);
  for (const int threads : {1, 2, 3}) {
    ASSERT_EQ(coppice_session_create(model_, threads, &session_), kCoppiceOk);
    for (std::int64_t seed = 0; seed < 5; ++seed) {
      const std::vector<float> sample = random_sample(784, seed);
      std::vector<float> logits(10);
      ASSERT_EQ(coppice_session_run(session_, sample.data(), 784, logits.data(), 10), kCoppiceOk);
      EXPECT_EQ(logits, outputs(program, sample));
    }
    coppice_session_destroy(session_);
    session_ = nullptr;
  }
}

TEST_F(LibraryTest, ASessionOutlivesItsModel) {
  const Program program = small_lenet();
  read(program);
  ASSERT_EQ(coppice_session_create(model_, 1, &session_), kCoppiceOk);
  coppice_model_destroy(model_);
  model_ = nullptr;
  const std::vector<float> sample = random_sample(784, 1);
  std::vector<float> logits(10);
  ASSERT_EQ(coppice_session_run(session_, sample.data(), 784, logits.data(), 10), kCoppiceOk);
  EXPECT_EQ(logits, outputs(program, sample));
}

TEST_F(LibraryTest, FilesAreRead) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / "library_test.cpk";
  const Bytes file = write_cpk(small_lenet());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  EXPECT_EQ(coppice_model_open(path.c_str(), &model_), kCoppiceOk) << coppice_last_error();
  EXPECT_EQ(coppice_model_output_size(model_), 10U);
  coppice_model_destroy(model_);
  EXPECT_EQ(coppice_model_open((path.string() + ".none").c_str(), &model_), kCoppiceCannotRead);
  EXPECT_EQ(model_, nullptr);
  EXPECT_NE(std::string(coppice_last_error()).find("library_test.cpk.none"), std::string::npos);
  EXPECT_EQ(coppice_model_open(::testing::TempDir().c_str(), &model_), kCoppiceCannotRead);
  std::ofstream(path, std::ios::trunc);
  EXPECT_EQ(coppice_model_open(path.c_str(), &model_), kCoppiceBadModel);
  std::filesystem::remove(path);
}

TEST_F(LibraryTest, DamagedBytesAreRefused) {
  const Bytes file = write_cpk(small_lenet());
  for (std::size_t size = 0; size < file.size(); size += 97)
    ASSERT_EQ(coppice_model_from_memory(file.data(), size, &model_), kCoppiceBadModel) << size;
  for (std::size_t at = 0; at < file.size(); at += 97) {
    Bytes damaged = file;
    damaged[at] ^= 0x10;
    ASSERT_EQ(coppice_model_from_memory(damaged.data(), damaged.size(), &model_), kCoppiceBadModel)
        << at;
    ASSERT_EQ(model_, nullptr);
    ASSERT_STRNE(coppice_last_error(), "");
  }
}

TEST_F(LibraryTest, NullIsRefused) {
  EXPECT_EQ(coppice_model_open("a", nullptr), kCoppiceWrongUse);
  EXPECT_EQ(coppice_model_open(nullptr, &model_), kCoppiceWrongUse);
  EXPECT_EQ(coppice_model_from_memory(nullptr, 5, &model_), kCoppiceWrongUse);
  EXPECT_EQ(coppice_model_from_memory("a", 1, nullptr), kCoppiceWrongUse);
  EXPECT_EQ(coppice_session_create(nullptr, 1, &session_), kCoppiceWrongUse);
  EXPECT_EQ(coppice_model_input_size(nullptr), 0U);
  EXPECT_EQ(coppice_model_output_size(nullptr), 0U);
  EXPECT_EQ(coppice_model_input_rank(nullptr), 0U);
  EXPECT_EQ(coppice_model_label_count(nullptr), 0U);
  EXPECT_EQ(coppice_model_label(nullptr, 0), nullptr);
  EXPECT_EQ(coppice_model_name(nullptr), nullptr);
  EXPECT_EQ(coppice_model_isa(nullptr), nullptr);
  coppice_model_destroy(nullptr);
  coppice_session_destroy(nullptr);
}

TEST_F(LibraryTest, WrongSizesAndThreadsAreRefused) {
  read(small_lenet());
  for (const int threads : {-1, 0, 65})
    EXPECT_EQ(coppice_session_create(model_, threads, &session_), kCoppiceWrongUse);
  EXPECT_EQ(coppice_session_create(model_, 1, nullptr), kCoppiceWrongUse);
  ASSERT_EQ(coppice_session_create(model_, 1, &session_), kCoppiceOk);
  const std::vector<float> sample = random_sample(784, 1);
  std::vector<float> logits(10, 7.0F);
  const auto run = [&](const float* from, std::size_t size, float* to, std::size_t count) {
    return coppice_session_run(session_, from, size, to, count);
  };
  EXPECT_EQ(run(sample.data(), 783, logits.data(), 10), kCoppiceWrongUse);
  EXPECT_EQ(run(sample.data(), 784, logits.data(), 9), kCoppiceWrongUse);
  EXPECT_EQ(run(nullptr, 784, logits.data(), 10), kCoppiceWrongUse);
  EXPECT_EQ(run(sample.data(), 784, nullptr, 10), kCoppiceWrongUse);
  EXPECT_EQ(coppice_session_run(nullptr, sample.data(), 784, logits.data(), 10), kCoppiceWrongUse);
  EXPECT_EQ(logits, std::vector<float>(10, 7.0F));
}

TEST_F(LibraryTest, AnUnknownInstructionSetIsWrongUse) {
  const Bytes file = write_cpk(small_lenet());
  setenv("COPPICE_ISA", "sse9", 1);
  EXPECT_EQ(coppice_model_from_memory(file.data(), file.size(), &model_), kCoppiceWrongUse);
  EXPECT_NE(std::string(coppice_last_error()).find("sse9"), std::string::npos);
  setenv("COPPICE_ISA", "baseline", 1);
  EXPECT_EQ(coppice_model_from_memory(file.data(), file.size(), &model_), kCoppiceOk);
  EXPECT_STREQ(coppice_model_isa(model_), "baseline");
  unsetenv("COPPICE_ISA");
}

}  // namespace
}  // namespace coppice::runtime
