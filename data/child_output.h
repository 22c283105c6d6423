#pragma once
// What a program writes to its standard output. No shell is involved.

#include <cstddef>  // for size_t
#include <string>   // for string
#include <vector>   // for vector

namespace coppice {

// Runs `arguments[0]` (found on PATH) with an empty standard input and its errors discarded, and
// waits for its end. Throws DataError if it cannot be started, writes more than `limit_bytes`, or
// does not exit with 0.
std::string child_output(const std::vector<std::string>& arguments, std::size_t limit_bytes);

}  // namespace coppice
