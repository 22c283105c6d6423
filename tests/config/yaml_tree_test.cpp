// The YAML reader: what it understands, and that hostile documents are refused quickly and by
// place.
#include "core/config/yaml_tree.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "core/text.h"

namespace coppice {
namespace {

std::string repeated(std::string_view part, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += part;
  return out;
}

// "line:column: message" of the error that `yaml` gives, or "" if it is read.
std::string error_of(std::string_view yaml) {
  try {
    parse_yaml(yaml);
    return "";
  } catch (const YamlError& error) {
    return text(error.mark.line, ':', error.mark.column, ": ", error.what());
  }
}

TEST(YamlTreeTest, NodesKnowTheirKindTextAndPlace) {
  const YamlNode root = parse_yaml("a: 1\nb:\n  c: [x, \"5\", ~]\n");
  ASSERT_EQ(root.kind, YamlKind::kMap);
  ASSERT_EQ(root.children.size(), 2U);
  EXPECT_EQ(root.children[0].key, "a");
  EXPECT_EQ(root.children[0].text, "1");
  EXPECT_FALSE(root.children[0].is_quoted);
  const YamlNode& list = root.children[1].children[0];
  EXPECT_EQ(list.key, "c");
  EXPECT_EQ(list.key_mark.line, 3);
  EXPECT_EQ(list.key_mark.column, 3);
  EXPECT_EQ(list.mark.column, 6);
  ASSERT_EQ(list.children.size(), 3U);
  EXPECT_TRUE(list.children[1].is_quoted);
  EXPECT_EQ(list.children[2].kind, YamlKind::kNull);
}

TEST(YamlTreeTest, EmptyDocumentIsNull) {
  EXPECT_EQ(parse_yaml("").kind, YamlKind::kNull);
  EXPECT_EQ(parse_yaml("# only a comment\n").kind, YamlKind::kNull);
}

TEST(YamlTreeTest, AliasRepeatsItsNode) {
  const YamlNode root = parse_yaml("a: &x [1, 2]\nb: *x\n");
  ASSERT_EQ(root.children[1].children.size(), 2U);
  EXPECT_EQ(root.children[1].key, "b");
  EXPECT_EQ(root.children[1].children[1].text, "2");
}

TEST(YamlTreeTest, DuplicateKeyNamesBothPlaces) {
  EXPECT_EQ(error_of("a: 1\nb: 2\na: 3\n"),
            "3:1: duplicate key 'a'; it was first given at line 1, column 1");
}

TEST(YamlTreeTest, WhatIsNotSupportedSaysSo) {
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n").substr(0, 1), "2");
  EXPECT_NE(error_of("a: 1\n---\nb: 2\n").find("one YAML document"), std::string::npos);
  EXPECT_NE(error_of("a: &x {b: 1}\nc: {<<: *x}\n").find("merge keys (<<) are not supported"),
            std::string::npos);
  EXPECT_EQ(error_of("a: !!int 5\n").find("1:4: tags such as"), 0U) << error_of("a: !!int 5\n");
  EXPECT_NE(error_of("? [a, b]\n: 1\n").find("a key must be a plain word"), std::string::npos);
  EXPECT_NE(error_of("~: 1\n").find("a key must be a plain word"), std::string::npos);
  EXPECT_NE(error_of("a: &x [*x]\n").find("inside the node it names"), std::string::npos);
  EXPECT_EQ(error_of("a: [1, 2\n").find("2:1: not YAML"), 0U) << error_of("a: [1, 2\n");
  EXPECT_NE(error_of("a: *nowhere\n").find("not YAML"), std::string::npos);
}

TEST(YamlTreeTest, BytesThatAreNotTextAreRefusedAtTheirPlace) {
  EXPECT_EQ(error_of("a: 1\nb: \xff\n"), "2:4: byte 0xff is not UTF-8 text");
  EXPECT_EQ(error_of("a: \xc0\xaf\n"), "1:4: byte 0xc0 is not UTF-8 text");      // overlong
  EXPECT_EQ(error_of("a: \xed\xa0\x80\n"), "1:4: byte 0xed is not UTF-8 text");  // a surrogate
  EXPECT_EQ(error_of("a: \xf4\x90\x80\x80\n"),
            "1:4: byte 0xf4 is not UTF-8 text");                           // above U+10FFFF
  EXPECT_EQ(error_of("a: \xe2\x82"), "1:4: byte 0xe2 is not UTF-8 text");  // cut off
  EXPECT_EQ(error_of(std::string("a: \0b", 5)), "1:4: control character 0x00 in text");
  EXPECT_EQ(error_of("a: \x04 b"), "1:4: control character 0x04 in text");
  EXPECT_EQ(error_of("name: \xc3\xa9t\xc3\xa9 \xf0\x9f\x8c\xb3\n"), "");
}

TEST(YamlTreeTest, DepthIsLimitedToTheLevelsOfTheHeader) {
  const auto nested = [](std::size_t depth) { return repeated("[", depth) + repeated("]", depth); };
  EXPECT_EQ(error_of(nested(kMaxYamlDepth)), "");
  EXPECT_EQ(error_of(nested(kMaxYamlDepth + 1)), "1:33: nested deeper than 32 levels");
  EXPECT_NE(error_of("a: &x " + nested(20) + "\nb: " + repeated("[", 20) + "*x" + repeated("]", 20))
                .find("nested deeper"),
            std::string::npos);
}

TEST(YamlTreeTest, DeepNestingOfEveryKindIsAnErrorNotAStackOverflow) {
  for (const std::string_view part :
       {"[", "{", "[{a: ", "- ", "? ", "a: {", "[[]", "\"a\": [", "[?", "{? ", "[: "}) {
    const std::string yaml = repeated(part, 20'000);
    EXPECT_NE(error_of(yaml), "") << part;
  }
  EXPECT_EQ(error_of(repeated("[", 100'000) + repeated("]", 100'000)),
            "1:33: nested deeper than 32 levels");
  std::string staircase;
  for (std::size_t i = 0; i < 1000; ++i) staircase += std::string(i, ' ') + "a:\n";
  EXPECT_NE(error_of(staircase).find("nested deeper"), std::string::npos);
}

TEST(YamlTreeTest, AliasBombIsRefusedBeforeItGrows) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 7; ++level) {
    const std::string below = text("*a", level - 1);
    bomb += text('a', level, ": &a", level, " [", below);
    for (int i = 1; i < 9; ++i) bomb += text(", ", below);
    bomb += "]\n";
  }
  EXPECT_NE(error_of(bomb).find("more than 100000 values, aliases expanded"), std::string::npos)
      << error_of(bomb);

  std::string many = "a: &a 1\nb: [*a";
  for (std::size_t i = 1; i < kMaxYamlAliases; ++i) many += ", *a";
  EXPECT_EQ(error_of(many + "]"), "");
  EXPECT_NE(error_of(many + ", *a]").find("more than 64 aliases"), std::string::npos);
}

TEST(YamlTreeTest, LongTextDoesNotMultiplyThroughAliases) {
  std::string yaml = "a: &a " + std::string(500'000, 'x') + "\nb: [*a";
  for (int i = 0; i < 30; ++i) yaml += ", *a";
  EXPECT_NE(error_of(yaml + "]").find("bytes of text, aliases expanded"), std::string::npos);
}

TEST(YamlTreeTest, NestedAnchorsDoNotMultiplyTheirContent) {
  std::string yaml;
  for (int i = 0; i < 30; ++i) yaml += text("&a", i, " [");
  for (int i = 0; i < 30'000; ++i) yaml += "1,";
  EXPECT_NE(error_of(yaml + "1" + repeated("]", 30)).find("more than 100000 values"),
            std::string::npos);
}

TEST(YamlTreeTest, DocumentAboveTheSizeIsRefusedUnparsed) {
  EXPECT_NE(error_of(std::string(kMaxYamlBytes + 1, '#')).find("1048577 bytes, at most 1048576"),
            std::string::npos);
}

TEST(YamlFileTest, MissingFolderAndTooLargeAreToldApart) {
  const std::string folder = testing::TempDir() + "coppice_yaml_file_test";
  std::filesystem::create_directories(folder);
  const auto error_of_file = [](const std::string& path) -> std::string {
    try {
      read_yaml_file(path);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(error_of_file(folder + "/none.yaml"), folder + "/none.yaml: no such file");
  EXPECT_EQ(error_of_file(folder), folder + ": expected a YAML file, got a folder");
  std::ofstream(folder + "/large.yaml") << std::string(kMaxYamlBytes + 1, '#');
  EXPECT_EQ(error_of_file(folder + "/large.yaml"),
            folder + "/large.yaml: 1048577 bytes; a config has at most 1048576");
  EXPECT_NE(error_of_file("/dev/zero").find("more than 1048576 bytes"), std::string::npos);
  std::ofstream(folder + "/fine.yaml") << "a: 1\n";
  EXPECT_EQ(read_yaml_file(folder + "/fine.yaml"), "a: 1\n");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace coppice
