#include "core/error.h"

namespace coppice {

std::string describe(const std::exception& error) {
  std::string text = error.what();
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    text += ": " + describe(inner);
  }
  return text;
}

int exit_code(const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    return exit_code(inner);
  }
  const bool is_users = dynamic_cast<const ConfigError*>(&error) != nullptr ||
                        dynamic_cast<const DataError*>(&error) != nullptr;
  return is_users ? 2 : 1;
}

}  // namespace coppice
