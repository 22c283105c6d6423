# LibTorch from the Python wheel as one imported target, LibTorch::LibTorch.
#
# Not find_package(Torch): that demands a CUDA toolkit even for CPU use and overwrites CMAKE_CUDA_ARCHITECTURES.
# Looked for in LIBTORCH_ROOT (the `torch` folder of an installed wheel), then in the virtual environment that
# launch/build makes, then where python3 would import torch from. The wheel's own run path finds the libraries it
# needs beside it. A CUDA wheel has LibTorch::CUDA as well, for what calls c10::cuda or at::cuda itself.

set(LIBTORCH_ROOT "" CACHE PATH "The torch folder of an installed PyTorch wheel")
file(GLOB _libtorch_candidates ${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/torch)
if(NOT LIBTORCH_ROOT AND NOT _libtorch_candidates)
  execute_process(
    COMMAND python3 -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE _libtorch_candidates OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_path(LIBTORCH_INCLUDE_DIR ATen/core/Tensor.h
  PATHS ${LIBTORCH_ROOT} ${_libtorch_candidates} PATH_SUFFIXES include NO_DEFAULT_PATH)
if(LIBTORCH_INCLUDE_DIR)
  get_filename_component(_libtorch_found ${LIBTORCH_INCLUDE_DIR} DIRECTORY)
  set(LIBTORCH_LIBRARY_DIR ${_libtorch_found}/lib)
  if(EXISTS ${LIBTORCH_INCLUDE_DIR}/torch/headeronly/version.h)
    set(_libtorch_version_header ${LIBTORCH_INCLUDE_DIR}/torch/headeronly/version.h)
  else()
    set(_libtorch_version_header ${LIBTORCH_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h)
  endif()
  file(STRINGS ${_libtorch_version_header} _libtorch_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" _libtorch_numbers "${_libtorch_lines}")
  list(JOIN _libtorch_numbers "." LIBTORCH_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LIBTORCH_INCLUDE_DIR LIBTORCH_LIBRARY_DIR VERSION_VAR LIBTORCH_VERSION
  REASON_FAILURE_MESSAGE "run launch/build, or set LIBTORCH_ROOT to the torch folder of a PyTorch wheel")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  set_target_properties(LibTorch::LibTorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${LIBTORCH_INCLUDE_DIR};${LIBTORCH_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${LIBTORCH_INCLUDE_DIR};${LIBTORCH_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_COMPILE_DEFINITIONS "COPPICE_LIBTORCH_VERSION=\"${LIBTORCH_VERSION}\""
    INTERFACE_LINK_DIRECTORIES "${LIBTORCH_LIBRARY_DIR}"
    INTERFACE_LINK_LIBRARIES "torch_cpu;c10"
    INTERFACE_LINK_OPTIONS "-Wl,-rpath,${LIBTORCH_LIBRARY_DIR};-Wl,--allow-shlib-undefined")
endif()

# The linker would drop libtorch_cuda, which registers itself when it is loaded, as unused.
if(LibTorch_FOUND AND EXISTS ${LIBTORCH_LIBRARY_DIR}/libtorch_cuda.so AND NOT TARGET LibTorch::CUDA)
  add_library(LibTorch::CUDA INTERFACE IMPORTED)
  set_target_properties(LibTorch::CUDA PROPERTIES
    INTERFACE_LINK_LIBRARIES "LibTorch::LibTorch;-Wl,--no-as-needed,-ltorch,-ltorch_cuda,-lc10_cuda,--as-needed")
endif()
