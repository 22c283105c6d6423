#include "launch/command_line.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace coppice {
namespace {

CommandLine parse(const std::vector<std::string>& arguments) {
  return parse_command_line(arguments);
}

template <typename Arguments>
Arguments parsed(const std::vector<std::string>& arguments) {
  return std::get<Arguments>(*parse(arguments).command);
}

std::string message_of(const std::vector<std::string>& arguments) {
  try {
    parse(arguments);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(CommandLineTest, RunTakesConfigOverridesAndOptionsInAnyOrder) {
  const auto run = parsed<RunArguments>({"run", "--json", "a.yaml", "seed=2", "--out", "here",
                                         "model.hidden=[32, 16]", "--resume", "--ranks", "3"});
  EXPECT_EQ(run.config, "a.yaml");
  EXPECT_EQ(run.overrides, (std::vector<std::string>{"seed=2", "model.hidden=[32, 16]"}));
  EXPECT_EQ(run.out, "here");
  EXPECT_TRUE(run.is_resumed);
  EXPECT_TRUE(run.is_json);
  EXPECT_EQ(run.ranks, 3);
}

TEST(CommandLineTest, SweepKeepsItsListsWhole) {
  const auto sweep =
      parsed<SweepArguments>({"sweep", "a.yaml", "seed=1,2", "model.hidden=[1],[2,3]"});
  EXPECT_EQ(sweep.overrides, (std::vector<std::string>{"seed=1,2", "model.hidden=[1],[2,3]"}));
  EXPECT_TRUE(sweep.out.empty());
}

TEST(CommandLineTest, NamesOfCommandsAreArgumentsOnceACommandIsKnown) {
  EXPECT_EQ(parsed<InspectArguments>({"inspect", "run"}).subject, "run");
  EXPECT_EQ(parsed<ListArguments>({"list", "models"}).kind, "models");
  EXPECT_EQ(parsed<BenchArguments>({"bench", "round", "a.yaml", "seed=1"}).config, "a.yaml");
  EXPECT_TRUE(std::holds_alternative<DoctorArguments>(*parse({"doctor"}).command));
}

TEST(CommandLineTest, PkiHasActionsWithTheirOwnArgumentsAndDefaults) {
  const auto token = parsed<PkiArguments>({"pki", "token", "dir", "--node", "edge-1"});
  EXPECT_EQ(token.action, PkiAction::kToken);
  EXPECT_EQ(token.folder, "dir");
  EXPECT_EQ(token.node, "edge-1");
  EXPECT_EQ(token.valid, "24h");
  const auto sign = parsed<PkiArguments>(
      {"pki", "sign", "dir", "--request", "r", "--token", "t", "--out", "o", "--valid", "7d"});
  EXPECT_EQ(sign.action, PkiAction::kSign);
  EXPECT_EQ(sign.valid, "7d");
  EXPECT_EQ(parsed<PkiArguments>({"pki", "init", "dir"}).valid, "3650d");
  EXPECT_EQ(parsed<PkiArguments>({"pki", "request", "--node", "a", "--out", "o"}).key, "p256");
  EXPECT_TRUE(parsed<PkiArguments>({"pki", "list", "dir", "--json"}).is_json);
  EXPECT_EQ(parsed<PkiArguments>({"pki", "revoke", "dir", "--node", "a"}).action,
            PkiAction::kRevoke);
  EXPECT_NE(message_of({"pki", "tokn", "dir"}).find("did you mean 'token'?"), std::string::npos);
  EXPECT_NE(message_of({"pki"}).find("coppice pki --help"), std::string::npos);
  EXPECT_NE(message_of({"pki", "token", "dir"}).find("--node"), std::string::npos);
  EXPECT_NE(message_of({"pki", "list", "dir", "--valid", "1h"}), "no error");
  EXPECT_NE(parse({"pki", "--help"}).output.find("revoke"), std::string::npos);
  EXPECT_NE(parse({"pki", "sign", "--help"}).output.find("--request"), std::string::npos);
}

TEST(CommandLineTest, NetproxyHasTwoEndsAndASeed) {
  const auto proxy = parsed<NetproxyArguments>({"netproxy", "--listen", "0.0.0.0:1", "--to", "h:2",
                                                "--scenario", "net.yaml", "--seed", "9"});
  EXPECT_EQ(proxy.listen, "0.0.0.0:1");
  EXPECT_EQ(proxy.to, "h:2");
  EXPECT_EQ(proxy.scenario, "net.yaml");
  EXPECT_EQ(proxy.seed, 9U);
  EXPECT_NE(message_of({"netproxy", "--to", "h:2"}).find("--listen"), std::string::npos);
  EXPECT_NE(message_of({"netproxy", "--listen", "h:1", "--to", "h:2", "--seed", "-1"}), "no error");
}

TEST(CommandLineTest, InferTakesDataOrInput) {
  const auto data =
      parsed<InferArguments>({"infer", "m.safetensors", "--data", "digits", "--split", "train"});
  EXPECT_EQ(data.data, "digits");
  EXPECT_EQ(data.split, "train");
  EXPECT_EQ(
      parsed<InferArguments>({"infer", "m.safetensors", "--input", "x.npy", "--out", "y.npy"}).out,
      "y.npy");
  EXPECT_NE(message_of({"infer", "m.safetensors"}).find("one of --data and --input"),
            std::string::npos);
  EXPECT_NE(message_of({"infer", "m.safetensors", "--data", "digits", "--input", "x.npy"}),
            "no error");
  EXPECT_NE(message_of({"infer", "m.safetensors", "--data", "digits", "--split", "valid"}),
            "no error");
}

TEST(CommandLineTest, ThreadsAreAtLeastOneAndNotTooMany) {
  const std::vector<std::vector<std::string>> commands = {
      {"infer", "m.cpk", "--input", "x.npy"}, {"validate", "m.cpk", "--data", "digits"}};
  for (std::vector<std::string> words : commands) {
    words.insert(words.end(), {"--threads", "3"});
    const auto command = *parse(words).command;
    const auto* infer = std::get_if<InferArguments>(&command);
    EXPECT_EQ(infer != nullptr ? infer->threads : std::get<ValidateArguments>(command).threads, 3);
    for (const char* wrong : {"0", "65", "two"}) {
      words.back() = wrong;
      EXPECT_NE(message_of(words).find("--threads"), std::string::npos) << message_of(words);
    }
  }
}

TEST(CommandLineTest, UnknownCommandsNameTheNearest) {
  EXPECT_NE(message_of({"rnu", "a.yaml"}).find("did you mean 'run'"), std::string::npos);
  EXPECT_NE(message_of({"run.yaml"}).find("unknown command"), std::string::npos);
}

TEST(CommandLineTest, WrongUseIsOneLineThatPointsToTheHelp) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", "a.yaml", "--rsume"},
                                             {"run", "a.yaml", "--out"},
                                             {"run", "a.yaml", "--ranks", "0"},
                                             {"run", "a.yaml", "--ranks", "many"},
                                             {"doctor", "now"},
                                             {"list"},
                                             {"--verbose"}}) {
    const std::string message = message_of(arguments);
    EXPECT_NE(message.find("--help"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_NE(message_of({"run", "a.yaml", "--rsume"}).find("--rsume"), std::string::npos);
  EXPECT_NE(message_of({"run"}).find("coppice run --help"), std::string::npos);
}

TEST(CommandLineTest, HelpAndVersionAreTextsToPrint) {
  const CommandLine help = parse({"--help"});
  EXPECT_FALSE(help.command);
  EXPECT_EQ(help.exit_code, 0);
  for (const char* command : {"run", "sweep", "inspect", "list", "infer", "bench", "doctor"}) {
    EXPECT_NE(help.output.find(command), std::string::npos) << command;
  }
  EXPECT_NE(parse({"run", "--help"}).output.find("--resume"), std::string::npos);
  EXPECT_EQ(parse({"--version"}).exit_code, 0);
  EXPECT_TRUE(parse({"--version"}).output.starts_with("coppice 0."));
  EXPECT_EQ(parse({}).exit_code, 2);
  EXPECT_EQ(parse({}).output, help.output);
}

}  // namespace
}  // namespace coppice
