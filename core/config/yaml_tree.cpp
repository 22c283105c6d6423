#include "core/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>  // for EventHandler
#include <yaml-cpp/exceptions.h>    // for Exception
#include <yaml-cpp/parser.h>        // for Parser

#include <algorithm>  // for max
#include <fstream>    // for ifstream
#include <map>        // for map
#include <sstream>    // for istringstream
#include <utility>    // for move

#include "core/config/utf8.h"
#include "core/text.h"

namespace coppice {
namespace {

YamlMark mark_of(const YAML::Mark& mark) {
  return {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
}

// What a subtree costs, and how many levels it has.
struct Extent {
  std::size_t nodes = 1;
  std::size_t text_bytes = 0;
  std::size_t levels = 1;

  void include(const Extent& child) {
    nodes += child.nodes;
    text_bytes += child.text_bytes;
    levels = std::max(levels, child.levels + 1);
  }
};

// Builds the tree while yaml-cpp parses. Its errors leave through yaml-cpp's frames, so parsing
// stops at once: that is what keeps yaml-cpp's own recursion shallow.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1)
      throw YamlError(mark_of(mark), "expected one YAML document, got a second one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.mark = mark_of(mark);
    spend({}, node.mark);
    place(std::move(node), {}, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag);
    YamlNode node;
    node.kind = YamlKind::kScalar;
    node.text = value;
    node.is_quoted = tag == "!";
    node.mark = mark_of(mark);
    const Extent extent{.text_bytes = value.size()};
    spend(extent, node.mark);
    place(std::move(node), extent, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (++aliases_ > kMaxYamlAliases) {
      throw YamlError(mark_of(mark), text("more than ", kMaxYamlAliases, " aliases"));
    }
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end())
      throw YamlError(mark_of(mark), "an alias stands inside the node it names");
    const auto& [node, extent] = found->second;
    if (open_.size() + extent.levels > kMaxYamlDepth) refuse_depth(mark_of(mark));
    spend(extent, mark_of(mark));
    place(YamlNode(node), extent, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(YamlKind::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(YamlKind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  // A list or map whose end has not come yet.
  struct OpenNode {
    YamlNode node;
    Extent extent;
    YAML::anchor_t anchor = 0;
    std::map<std::string, YamlMark> keys;  // of a map: seen so far
    bool expects_key = false;
    std::string key;  // of a map: waits for its value
    YamlMark key_mark;
  };

  void open(YamlKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    if (open_.size() + 1 > kMaxYamlDepth) refuse_depth(mark_of(mark));
    if (!open_.empty() && open_.back().expects_key) refuse_key(mark_of(mark));
    spend({}, mark_of(mark));
    OpenNode opened;
    opened.node.kind = kind;
    opened.node.mark = mark_of(mark);
    opened.anchor = anchor;
    opened.expects_key = kind == YamlKind::kMap;
    open_.push_back(std::move(opened));
  }

  void close() {
    OpenNode closed = std::move(open_.back());
    open_.pop_back();
    place(std::move(closed.node), closed.extent, closed.anchor);
  }

  // Puts a finished node where it belongs: it is a key, a value, an item or the root.
  void place(YamlNode node, const Extent& extent, YAML::anchor_t anchor) {
    if (anchor != 0) {
      spend(extent, node.mark);
      anchored_.insert_or_assign(anchor, std::pair(node, extent));
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.expects_key) {
      accept_key(parent, node);
      return;
    }
    parent.extent.include(extent);
    if (parent.node.kind == YamlKind::kMap) {
      node.key = std::move(parent.key);
      node.key_mark = parent.key_mark;
      parent.extent.text_bytes += node.key.size();
      parent.expects_key = true;
    }
    parent.node.children.push_back(std::move(node));
  }

  static void accept_key(OpenNode& parent, const YamlNode& node) {
    if (node.kind != YamlKind::kScalar) refuse_key(node.mark);
    if (node.text == "<<" && !node.is_quoted) {
      throw YamlError(node.mark, "merge keys (<<) are not supported; write the keys out");
    }
    const auto [first, is_new] = parent.keys.emplace(node.text, node.mark);
    if (!is_new) {
      throw YamlError(node.mark, text("duplicate key '", node.text.substr(0, 64),
                                      "'; it was first given at line ", first->second.line,
                                      ", column ", first->second.column));
    }
    parent.key = node.text;
    parent.key_mark = node.mark;
    parent.expects_key = false;
  }

  void spend(const Extent& extent, YamlMark mark) {
    budget_.nodes += extent.nodes;
    budget_.text_bytes += extent.text_bytes;
    if (budget_.nodes > kMaxYamlNodes) {
      throw YamlError(mark, text("more than ", kMaxYamlNodes, " values, aliases expanded"));
    }
    if (budget_.text_bytes > kMaxYamlTextBytes) {
      throw YamlError(mark,
                      text("more than ", kMaxYamlTextBytes, " bytes of text, aliases expanded"));
    }
  }

  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw YamlError(mark_of(mark),
                      text("tags such as '", tag.substr(0, 64), "' are not supported"));
    }
  }
  // Also reached by a list that is never closed: yaml-cpp then takes its beginning for a key.
  [[noreturn]] static void refuse_key(YamlMark mark) {
    throw YamlError(mark, "a key must be a plain word; is a bracket left open?");
  }
  [[noreturn]] static void refuse_depth(YamlMark mark) {
    throw YamlError(mark, text("nested deeper than ", kMaxYamlDepth, " levels"));
  }

  YamlNode root_;
  std::vector<OpenNode> open_;  // innermost last
  std::map<YAML::anchor_t, std::pair<YamlNode, Extent>> anchored_;
  Extent budget_{0, 0, 0};
  std::size_t aliases_ = 0;
  int documents_ = 0;
};

}  // namespace

YamlNode parse_yaml(std::string_view text_of_document) {
  if (text_of_document.size() > kMaxYamlBytes) {
    throw YamlError({},
                    text(text_of_document.size(), " bytes, at most ", kMaxYamlBytes, " are read"));
  }
  if (const auto bad = first_bad_byte(text_of_document)) {
    throw YamlError({bad->line, bad->column}, bad->message);
  }
  std::istringstream stream{std::string(text_of_document)};
  TreeBuilder builder;
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    throw YamlError(mark_of(error.mark), text("not YAML: ", error.msg));
  }
  return builder.take_root();
}

std::string read_yaml_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw ConfigError(text(path.string(), ": no such file"));
  if (std::filesystem::is_directory(status)) {
    throw ConfigError(text(path.string(), ": expected a YAML file, got a folder"));
  }
  const auto refuse_size = [&](std::uintmax_t bytes, const char* more) {
    throw ConfigError(
        text(path.string(), ": ", more, bytes, " bytes; a config has at most ", kMaxYamlBytes));
  };
  if (std::filesystem::is_regular_file(status)) {
    const std::uintmax_t bytes = std::filesystem::file_size(path, error);
    if (!error && bytes > kMaxYamlBytes) refuse_size(bytes, "");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(text(path.string(), ": cannot be opened for reading"));
  std::string bytes(kMaxYamlBytes + 1, '\0');  // a pipe does not tell its size
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.bad()) throw ConfigError(text(path.string(), ": cannot be read"));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  if (bytes.size() > kMaxYamlBytes) refuse_size(kMaxYamlBytes, "more than ");
  return bytes;
}

}  // namespace coppice
