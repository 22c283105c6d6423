#pragma once
// What makes an ONNX file recognisable as ours. Internal to deploy/onnx.

#include <string>       // for string
#include <string_view>  // for string_view

namespace coppice::onnx_export {

inline constexpr std::string_view kProducer = "coppice";
inline constexpr std::string_view kKeyPrefix = "coppice.";
// SHA-256 of the serialized GraphProto, in hexadecimal.
inline constexpr std::string_view kContentKey = "coppice.content_sha256";

// The doc_string of a weight's codes: how far they may go does not always show in them.
inline std::string bits_remark(int bits) { return "codes of " + std::to_string(bits) + " bits"; }

}  // namespace coppice::onnx_export
