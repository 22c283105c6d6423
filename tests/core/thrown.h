#pragma once
// The message of an expected exception, nested ones included, for tests of misuse.

#include <exception>
#include <string>

#include "core/error.h"

namespace coppice {

// What `action` throws as an `Error`; empty if it throws nothing. Other exceptions pass and fail
// the test.
template <typename Error, typename Action>
std::string thrown_text(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return describe(error);
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace coppice
