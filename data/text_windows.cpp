#include "data/text_windows.h"

#include <algorithm>      // for all_of, find_if
#include <array>          // for array
#include <cctype>         // for isdigit
#include <cmath>          // for floor
#include <string_view>    // for string_view
#include <unordered_map>  // for unordered_map

#include "core/error.h"
#include "core/text.h"
#include "data/loader.h"

namespace coppice {
namespace {

constexpr std::int64_t kMaxContext = 65'536;

// Takes the next line, without its end, from `rest`.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) { return c == ' ' || c == '\t'; });
}

// Clients in order of first appearance.
class ClientTexts {
 public:
  void select(std::string_view name) {
    const auto [found, is_new] = numbers_.try_emplace(std::string(name), texts_.size());
    if (is_new) texts_.push_back({std::string(name), {}});
    current_ = found->second;
  }
  bool has_current() const { return !texts_.empty(); }
  void append_line(std::string_view line) {
    std::string& text = texts_[current_].text;
    if (!text.empty()) text += '\n';
    text += line;
  }
  std::vector<ClientText> take() { return std::move(texts_); }

 private:
  std::vector<ClientText> texts_;
  std::unordered_map<std::string, std::size_t> numbers_;
  std::size_t current_ = 0;
};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

struct Verse {
  std::string_view book;  // empty: not a verse
  std::string_view text;
};

// "1 John 3:16 We ..." -> {"1 John", "We ..."}.
Verse parse_verse(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::size_t chapter = colon;
  while (chapter > 0 && is_digit(line[chapter - 1])) --chapter;
  std::size_t end = colon + 1;
  while (end < line.size() && is_digit(line[end])) ++end;
  const bool is_reference =
      chapter < colon && end > colon + 1 && (end == line.size() || line[end] == ' ');
  if (!is_reference) return {};
  std::string_view book = line.substr(0, chapter);
  while (book.ends_with(' ')) book.remove_suffix(1);
  return {book, line.substr(std::min(end + 1, line.size()))};
}

// Which id each byte has, and the names of the ids.
struct Vocabulary {
  std::array<std::int32_t, 256> ids{};
  std::vector<std::string> names;
};

std::string printable(unsigned char byte) {
  if (byte == '\n') return "\\n";
  if (byte == '\t') return "\\t";
  if (byte >= 0x20 && byte < 0x7F) return std::string(1, static_cast<char>(byte));
  const std::array<std::uint8_t, 1> one{byte};
  return "\\x" + hex(one);
}

Vocabulary vocabulary_of(const std::vector<ClientText>& clients) {
  std::array<bool, 256> is_used{};
  for (const ClientText& client : clients) {
    for (const char c : client.text) is_used[static_cast<unsigned char>(c)] = true;
  }
  Vocabulary vocabulary;
  for (std::size_t byte = 0; byte < is_used.size(); ++byte) {
    if (!is_used[byte]) continue;
    vocabulary.ids[byte] = static_cast<std::int32_t>(vocabulary.names.size());
    vocabulary.names.push_back(printable(static_cast<unsigned char>(byte)));
  }
  return vocabulary;
}

void append_window(std::string_view window, const Vocabulary& vocabulary, Split& split) {
  const auto id = [&](char c) { return vocabulary.ids[static_cast<unsigned char>(c)]; };
  for (std::size_t i = 0; i + 1 < window.size(); ++i) {
    split.int32s.push_back(id(window[i]));
    split.labels.push_back(id(window[i + 1]));
  }
  ++split.size;
}

}  // namespace

std::vector<ClientText> split_by_speaker(const std::string& text, const std::string& source) {
  ClientTexts clients;
  std::string_view rest = text;
  bool is_block_start = true;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (is_blank(line)) {
      is_block_start = true;
      continue;
    }
    if (is_block_start && line.size() > 1 && line.ends_with(':')) {
      clients.select(line.substr(0, line.size() - 1));
    } else if (clients.has_current()) {
      clients.append_line(line);
    } else {
      throw DataError(coppice::text(
          source, ": data.text_split speaker: expected a first line that ends with ':', got '",
          line.substr(0, 64), "'"));
    }
    is_block_start = false;
  }
  return clients.take();
}

std::vector<ClientText> split_by_book(const std::string& text, const std::string& source) {
  ClientTexts clients;
  std::string_view rest = text;
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = take_line(rest);
    if (is_blank(line)) continue;
    const Verse verse = parse_verse(line);
    if (verse.book.empty()) {
      throw DataError(coppice::text(source, ": line ", number,
                                    ": expected 'Book chapter:verse text', got '",
                                    line.substr(0, 64), "'"));
    }
    clients.select(verse.book);
    clients.append_line(verse.text);
  }
  return clients.take();
}

Dataset windows_of(const std::vector<ClientText>& clients, bool has_clients,
                   const DatasetRequest& request, const std::string& source) {
  if (request.context < 1 || request.context > kMaxContext) {
    throw ConfigError(
        text("data.context: expected 1 to ", kMaxContext, " characters, got ", request.context));
  }
  const auto context = static_cast<std::size_t>(request.context);
  const Vocabulary vocabulary = vocabulary_of(clients);
  const auto characters = static_cast<std::int64_t>(vocabulary.names.size());
  Dataset dataset{
      .type = SampleType::kInt32, .sample_shape = {request.context}, .classes = characters};
  dataset.labels_per_sample = request.context;
  dataset.vocabulary = characters;
  dataset.label_names = vocabulary.names;
  std::int64_t left_out = 0;
  for (const ClientText& client : clients) {
    const std::size_t windows = client.text.empty() ? 0 : (client.text.size() - 1) / context;
    if (windows == 0) {
      ++left_out;
      continue;
    }
    const auto wanted = static_cast<std::size_t>(
        std::floor(request.test_fraction * static_cast<double>(windows) + 1e-9));
    const std::size_t train_windows = windows - std::min(wanted, windows - 1);
    const std::string_view all = client.text;
    for (std::size_t i = 0; i < windows; ++i) {
      Split& split = i < train_windows ? dataset.train : dataset.test;
      append_window(all.substr(i * context, context + 1), vocabulary, split);
      if (has_clients)
        split.client_keys.push_back(static_cast<std::int32_t>(dataset.client_names.size()));
    }
    if (has_clients) dataset.client_names.push_back(client.name);
  }
  if (dataset.train.size == 0) {
    throw DataError(text(source, ": expected at least ", context + 1,
                         " characters for one window of data.context ", context, ", got fewer",
                         has_clients ? " in every client" : ""));
  }
  if (left_out > 0) {
    dataset.notes.push_back(text(left_out, " of ", clients.size(),
                                 " clients were left out: they have fewer than ", context + 1,
                                 " characters, one window of data.context ", context));
  }
  finish_dataset(dataset, source);
  return dataset;
}

}  // namespace coppice
