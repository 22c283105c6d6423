// Wrong use and damaged data: exit code 2, one paragraph that says what is wrong, and not a byte
// changed anywhere.

#include <zlib.h>

#include "tests/end_to_end/run_fixture.h"
#include "tests/end_to_end/tiny_data.h"

namespace coppice::testing {
namespace {

namespace fs = std::filesystem;

class BadInputTest : public RunTest {
 protected:
  // A config file instead of an override.
  void expect_config_refused(const std::string& yaml, const std::string& said) const {
    write("bad.yaml", yaml);
    expect_refused({.more = {"bad.yaml"}}, said);
  }
};

TEST_F(BadInputTest, ConfigThatIsNotThereIsNamed) {
  expect_refused({.more = {"nowhere.yaml"}}, "nowhere.yaml");
  fs::create_directory(path("folder.yaml"));
  expect_refused({.more = {"folder.yaml"}}, "folder.yaml");
}

TEST_F(BadInputTest, KeysThatAreWrongAreNamedWithTheirPlace) {
  expect_config_refused("seed: 1\ntrian: {rounds: 2}\n", "bad.yaml:2:1");
  expect_config_refused("seed: 1\nseed: 2\n", "seed");
  expect_config_refused("train: {rounds: 2, rounds: 3}\n", "rounds");
  expect_refused({.more = {"train.round=2"}}, "train.rounds");
  expect_refused({.more = {"train=2"}}, "train");
}

TEST_F(BadInputTest, ValuesThatAreWrongAreNamed) {
  expect_config_refused("train: {rounds: many}\n", "bad.yaml:1:17");
  expect_config_refused("train: [1, 2]\n", "train");
  expect_refused({.more = {"train.rounds=0"}}, "train.rounds");
  expect_refused({.more = {"train.rounds=1.5"}}, "train.rounds");
  expect_refused({.more = {"train.optimizer.lr=-1"}}, "train.optimizer.lr");
  expect_refused({.more = {"train.optimizer.lr=.nan"}}, "train.optimizer.lr");
  expect_refused({.more = {"data.validation_fraction=1"}}, "data.validation_fraction");
}

TEST_F(BadInputTest, YamlThatWouldExplodeIsCut) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    std::string line = "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 8; ++k) line += ", " + before;
    bomb += line + "]\n";
  }
  expect_config_refused(bomb, "bad.yaml");
  expect_config_refused("name: " + std::string(100'000, '[') + '\n', "bad.yaml");
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += "{a: ";
  expect_config_refused("train: " + deep + '\n', "bad.yaml");
  expect_config_refused(std::string("name: \xff\xfe\n"), "bad.yaml");
  expect_config_refused(std::string("name: a\0b\n", 10), "bad.yaml");
}

TEST_F(BadInputTest, NamesThatNobodyKnowsAreAnsweredWithTheNearest) {
  expect_refused({.more = {"model.name=lenet"}}, "lenet5");
  expect_refused({.more = {"data.name=fashion"}}, "fashion_mnist");
  expect_refused({.more = {"data.name=idxx"}}, "idx");
  expect_refused({.more = {"strategy.name=fedavgg"}}, "fedavg");
  expect_refused({.more = {"comm.codec=int9"}}, "int8");
  expect_refused({.more = {"compress.prune.pruner=magnitud"}}, "magnitude");
  expect_refused({.more = {"data.partition.scheme=dirichlets"}}, "dirichlet");
  expect_refused({.more = {"train.executor=torch"}}, "libtorch");
}

TEST_F(BadInputTest, LeversOfMemoryThatCannotBePulledAreNamed) {
  expect_refused({.more = {"train.memory.saved_bits=4"}}, "one of 32, 8");
  expect_refused({.more = {"train.memory.micro_batch=-1"}}, "train.memory.micro_batch");
  expect_refused({.more = {"train.memory.freeze_first=9"}}, "train.memory.freeze_first");
  expect_refused({.more = {"train.executor=libtorch", "train.memory.relu_bits=true"}},
                 "train.memory.relu_bits: executor libtorch");
}

TEST_F(BadInputTest, CohortThatIsLargerThanThePopulationIsRefused) {
  expect_refused({.more = {"train.clients_per_round=6"}}, "train.clients_per_round");
  expect_refused({.more = {"data.partition.clients=100000"}}, "clients");
  expect_refused({.more = {"data.partition.clients=0"}}, "clients");
}

TEST_F(BadInputTest, ModelThatDoesNotFitTheDataIsRefused) {
  write_tiny_npz(path("tiny.npz"), 4);
  expect_refused({.more = {"lenet5.yaml", "data.name=npz", "data.root=tiny.npz"}}, "lenet5");
  expect_refused({.more = {"model.init=nowhere.safetensors"}}, "nowhere.safetensors");
  write("torn.safetensors", std::string("\x40\0\0\0\0\0\0\0{\"a\":", 13));
  expect_refused({.more = {"model.init=torn.safetensors"}}, "torn.safetensors");
}

class BadDataTest : public BadInputTest {
 protected:
  void cut(const std::string& name, std::size_t bytes) const {
    const std::string content = content_of(path(name));
    write(name, content.substr(0, bytes));
  }
};

TEST_F(BadDataTest, FolderThatIsNotThereIsNamed) {
  expect_refused({.more = {"data.root=nowhere"}}, "nowhere");
  expect_refused({.more = {"data.root=tiny.yaml"}}, "tiny.yaml");
  fs::remove(path("images/t10k-labels-idx1-ubyte"));
  expect_refused({}, "t10k-labels");
  expect_refused({.more = {"data.name=npz", "data.root=nowhere.npz"}}, "nowhere.npz");
  expect_refused({.more = {"data.name=csv", "data.root=nowhere.csv"}}, "nowhere.csv");
}

TEST_F(BadDataTest, TruncatedIdxIsNamed) {
  for (const std::size_t bytes : {50'000U, 16U, 9U, 3U, 0U}) {
    cut("images/train-images-idx3-ubyte", bytes);
    expect_refused({}, "train-images-idx3-ubyte");
  }
}

TEST_F(BadDataTest, LabelsOfAnotherNumberOfImagesAreNamed) {
  write("images/train-labels-idx1-ubyte", idx(0x08, {119}, Bytes(119, '\1')));
  expect_refused({}, "train-labels-idx1-ubyte");
}

TEST_F(BadDataTest, DamagedArchiveAndTableAreNamed) {
  write_tiny_npz(path("tiny.npz"), 4);
  std::string bytes = content_of(path("tiny.npz"));
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 1);
  write("flipped.npz", bytes);
  expect_refused({.more = {"data.name=npz", "data.root=flipped.npz"}}, "flipped.npz");
  write("short.npz", bytes.substr(0, bytes.size() / 2));
  expect_refused({.more = {"data.name=npz", "data.root=short.npz"}}, "short.npz");
  write("ragged.csv", "f0,f1,label\n1,2,0\n1,0\n");
  expect_refused({.more = {"data.name=csv", "data.root=ragged.csv"}}, "ragged.csv");
}

TEST_F(BadDataTest, FilesThatOnlyLookLikeFashionMnistAreRefused) {
  fs::create_directory(path("fake"));
  for (const char* split : {"train", "t10k"}) {
    for (const char* kind : {"-images-idx3-ubyte", "-labels-idx1-ubyte"}) {
      fs::copy_file(path("images") / (std::string(split) + kind),
                    path("fake") / (std::string(split) + kind));
    }
  }
  expect_refused({.more = {"data.name=fashion_mnist", "data.root=fake"}}, "sha256");
}

TEST_F(BadDataTest, FashionMnistWithOneOtherLabelIsRefused) {
  const fs::path installed = "/usr/share/datasets/fashion-mnist";
  if (!fs::exists(installed / "train-labels-idx1-ubyte.gz"))
    GTEST_SKIP() << installed << " is not there";
  fs::create_directory(path("copy"));
  for (const char* name :
       {"train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}) {
    fs::create_symlink(installed / name, path("copy") / name);
  }
  gzFile file = gzopen((installed / "train-labels-idx1-ubyte.gz").c_str(), "rb");
  ASSERT_NE(file, nullptr);
  Bytes labels(60'008, '\0');
  ASSERT_EQ(gzread(file, labels.data(), static_cast<unsigned>(labels.size())), 60'008);
  gzclose(file);
  labels[30'000] = static_cast<char>((labels[30'000] + 1) % 10);
  write("copy/train-labels-idx1-ubyte.gz", gzip(labels));
  const Outcome outcome = run({.more = {"data.name=fashion_mnist", "data.root=copy"}});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
  expect_one_paragraph(outcome.err, "train-labels-idx1-ubyte.gz");
  expect_one_paragraph(outcome.err, "sha256");
  EXPECT_FALSE(fs::exists(path("run")));
}

using MpiBadInputTest = BadInputTest;

TEST_F(MpiBadInputTest, IsReportedByOneRankForAll) {
  expect_refused({.more = {"train.rounds=0"}, .processes = 2}, "train.rounds");
  expect_refused({.more = {"data.root=nowhere"}, .processes = 2}, "nowhere");
  expect_refused({.more = {"train.clients_per_round=6"}, .processes = 2}, "clients_per_round");
  expect_refused({.more = {"model.name=lenet"}, .processes = 2}, "lenet5");
  expect_refused({.more = {"comm.codec=int9"}, .processes = 2}, "int8");
  expect_refused({.more = {"nowhere.yaml"}, .processes = 2}, "nowhere.yaml");
}

TEST_F(MpiBadInputTest, RunFolderThatExistsIsLeftAlone) {
  fs::create_directory(path("run"));
  write("run/thesis.txt", "all of it");
  expect_refused({.processes = 2}, "run");
}

}  // namespace
}  // namespace coppice::testing
