#pragma once
// Text as samples for next-character models: windows that do not overlap, each `context` characters
// with the character that follows each of them as its labels. A character is a byte.

#include <cstdint>  // for int64_t
#include <string>   // for string
#include <vector>   // for vector

#include "data/dataset.h"

namespace coppice {

// The text of one client; pieces that were apart are joined by a line end.
struct ClientText {
  std::string name = {};
  std::string text = {};
};

// Blocks separated by blank lines, the first line of each "NAME:". The name line is no part of the
// speaker's text; a block without one goes on with the speaker before it. Throws DataError if the
// first block has none.
std::vector<ClientText> split_by_speaker(const std::string& text, const std::string& source);

// Lines "Book chapter:verse text" ("1 John 3:16 We ..." or "1Jn3:16 We ..."). The reference is no
// part of the text. Throws DataError, naming the line, for another line that is not empty.
std::vector<ClientText> split_by_book(const std::string& text, const std::string& source);

// Windows of all clients; a window never crosses from one client to the next. The vocabulary is
// every character of `clients`, in byte order. Of each client's w windows the last
// floor(test_fraction * w) are test samples, at least one stays for training. Clients with fewer
// than context + 1 characters own no window: they are left out and Dataset::notes counts them. With
// has_clients false the one text has no client keys. Throws DataError if no window is left.
Dataset windows_of(const std::vector<ClientText>& clients, bool has_clients,
                   const DatasetRequest& request, const std::string& source);

}  // namespace coppice
