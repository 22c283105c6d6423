# ONNX's message classes as one imported target, Onnx::Proto.
#
# Not find_package(ONNX): Debian's configuration file also demands the libraries of the checker and of ONNXIFI. What is
# needed is the generated header of onnx.proto, the library of its code, and protobuf's runtime.

find_path(ONNX_INCLUDE_DIR onnx/onnx-ml.pb.h)
find_library(ONNX_PROTO_LIBRARY onnx_proto)
find_path(PROTOBUF_INCLUDE_DIR google/protobuf/io/coded_stream.h)
find_library(PROTOBUF_LIBRARY protobuf)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Onnx
  REQUIRED_VARS ONNX_PROTO_LIBRARY ONNX_INCLUDE_DIR PROTOBUF_LIBRARY PROTOBUF_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libonnx-dev and libprotobuf-dev")
mark_as_advanced(ONNX_INCLUDE_DIR ONNX_PROTO_LIBRARY PROTOBUF_INCLUDE_DIR PROTOBUF_LIBRARY)

if(Onnx_FOUND AND NOT TARGET Onnx::Proto)
  add_library(Onnx::Proto INTERFACE IMPORTED)
  set_target_properties(Onnx::Proto PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${ONNX_INCLUDE_DIR};${PROTOBUF_INCLUDE_DIR}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${ONNX_INCLUDE_DIR};${PROTOBUF_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS "ONNX_NAMESPACE=onnx;ONNX_ML=1"
    INTERFACE_LINK_LIBRARIES "${ONNX_PROTO_LIBRARY};${PROTOBUF_LIBRARY}")
endif()
