// The King James Bible as next-character samples with its 66 books as natural clients: what the
// program `bible` of the Debian package bible-kjv writes, or a file that holds it.

#include <cstdlib>  // for getenv

#include "core/error.h"
#include "core/text.h"
#include "data/byte_source.h"
#include "data/child_output.h"
#include "data/loader.h"
#include "data/text_windows.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} << 20U;
constexpr std::size_t kBooks = 66;

// The first `bible` on PATH; empty if there is none.
std::filesystem::path find_program() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  std::vector<std::filesystem::path> folders;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    folders.emplace_back(rest.substr(0, colon));
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return find_file(folders, {"bible"});
}

// -f turns pretty-printing off: a verse a line, "Ge1:1 In the beginning ...".
std::string run_program() {
  const std::filesystem::path program = find_program();
  if (program.empty()) {
    throw DataError(
        "data set 'bible': expected the program `bible`, found nothing on PATH; install the Debian "
        "package bible-kjv, or "
        "name a file with the output of `bible -f gen1:1-rev22:21` in data.root");
  }
  return child_output({program.string(), "-f", "gen1:1-rev22:21"}, kMaxBytes);
}

}  // namespace

std::string locate_bible() { return find_program().string(); }

Dataset load_bible(const DatasetRequest& request) {
  const bool has_file = !request.root.empty();
  const std::string source = has_file ? request.root.string() : "bible -f gen1:1-rev22:21";
  const std::string content =
      has_file ? read_text(*open_file(required_root(request, "a file of verses")), kMaxBytes)
               : run_program();
  const std::vector<ClientText> books = split_by_book(content, source);
  if (books.size() != kBooks)
    throw DataError(text(source, ": expected ", kBooks, " books, got ", books.size()));
  return windows_of(books, true, request, source);
}

}  // namespace coppice
