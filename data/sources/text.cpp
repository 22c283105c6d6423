// A text file as next-character samples, whole or split into natural clients by speaker or by book.

#include <algorithm>  // for find
#include <utility>    // for move

#include "core/error.h"
#include "core/text.h"
#include "data/byte_source.h"
#include "data/loader.h"
#include "data/text_windows.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 32U;
constexpr std::string_view kSplits[] = {"none", "speaker", "book"};

}  // namespace

std::string locate_text() { return {}; }

Dataset load_text(const DatasetRequest& request) {
  if (std::find(std::begin(kSplits), std::end(kSplits), request.text_split) == std::end(kSplits)) {
    throw ConfigError(unknown_name("data.text_split", request.text_split, kSplits));
  }
  const std::filesystem::path path = required_root(request, "a text file");
  std::string content = read_text(*open_file(path), kMaxFileBytes);
  const std::string source = path.string();
  if (request.text_split == "speaker")
    return windows_of(split_by_speaker(content, source), true, request, source);
  if (request.text_split == "book")
    return windows_of(split_by_book(content, source), true, request, source);
  return windows_of({{"", std::move(content)}}, false, request, source);
}

}  // namespace coppice
