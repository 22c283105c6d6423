#include "deploy/onnx/wire.h"

#include <onnx/onnx_pb.h>

#include "core/error.h"
#include "core/text.h"

namespace coppice::onnx_wire {

void fail_message(const char* message) { throw DataError(text("damaged ", message, " message")); }

std::string element_type_name(std::int64_t type) {
  const bool is_known = type >= 0 && type <= onnx::TensorProto_DataType_DataType_MAX &&
                        onnx::TensorProto_DataType_IsValid(static_cast<int>(type));
  return is_known ? onnx::TensorProto_DataType_Name(static_cast<int>(type)) : std::to_string(type);
}

}  // namespace coppice::onnx_wire
