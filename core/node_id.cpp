#include "core/node_id.h"

#include <algorithm>  // for all_of

#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_node_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxNodeIdBytes && is_letter_or_digit(id.front()) &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
         });
}

void check_node_id(std::string_view id) {
  if (is_node_id(id)) return;
  throw ConfigError(text("expected a node's name, 1 to ", kMaxNodeIdBytes,
                         " of a-z, 0-9, '.', '_' and '-', the first a letter or digit, got '",
                         id.substr(0, kMaxNodeIdBytes), "'"));
}

}  // namespace coppice
