#pragma once
// What makes an ONNX file recognisable as ours. Internal to deploy/onnx.

#include <string_view>  // for string_view

namespace coppice::onnx_export {

inline constexpr std::string_view kProducer = "coppice";
inline constexpr std::string_view kKeyPrefix = "coppice.";
// SHA-256 of the serialized GraphProto, in hexadecimal.
inline constexpr std::string_view kContentKey = "coppice.content_sha256";

}  // namespace coppice::onnx_export
