#pragma once
// The version of Coppice, as in CMakeLists.txt.

#include <string_view>  // for string_view

namespace coppice {

inline constexpr std::string_view kCoppiceVersion = "0.1.0";

}  // namespace coppice
