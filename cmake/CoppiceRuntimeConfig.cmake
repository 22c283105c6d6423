# find_package(CoppiceRuntime): the target Coppice::runtime, for programs in C and C++.
if(NOT CMAKE_CXX_COMPILER_LOADED)  # the library is static and in C++: its programs are linked as such
  set(CoppiceRuntime_FOUND FALSE)
  set(CoppiceRuntime_NOT_FOUND_MESSAGE "CoppiceRuntime is linked by a C++ compiler: project(... LANGUAGES C CXX)")
  return()
endif()
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
include(${CMAKE_CURRENT_LIST_DIR}/CoppiceRuntimeTargets.cmake)
