# Defaults of every target and coppice_library(), the one way to declare a layer.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(COPPICE_CCACHE ccache)
if(COPPICE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COPPICE_CCACHE})
endif()
find_program(COPPICE_MOLD mold)
if(COPPICE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Loading LibTorch takes half a second: programs that link a layer above it but use none of it start without.
add_link_options(-Wl,--as-needed)

# Bits must not depend on what the compiler contracts: a * b + c is two roundings unless a kernel asks for one.
add_compile_options(-ffp-contract=off)
if(COPPICE_SANITIZE)
  set(sanitizers address,undefined)
  if(COPPICE_SANITIZE STREQUAL "thread")
    set(sanitizers thread)
  endif()
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${sanitizers})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # instrumented code sets off false ones; the release build keeps it
  endif()
endif()

# GCC 12 sees impossible copies inside std::string and std::vector at -O3 (GCC bugs 105651, 107852): two warnings that
# cannot be trusted there.
add_library(coppice_warnings INTERFACE)
target_compile_options(coppice_warnings INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict -Wno-array-bounds -Wno-stringop-overflow>)
target_compile_options(coppice_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${COPPICE_WERROR}>>:-Werror>)

set(COPPICE_INSTALLED_HEADERS include/coppice)

# coppice_library(name DIR dir [LINK targets...] [PRIVATE_LINK targets...] [EXCLUDE regex]): a static library of every
# .cpp below `dir` (relative to the project) but those that match EXCLUDE.
function(coppice_library name)
  cmake_parse_arguments(arg "" "DIR;EXCLUDE" "LINK;PRIVATE_LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${arg_DIR}/*.cpp)
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${arg_EXCLUDE}")
  endif()
  if(NOT sources)  # a layer without files yet still links
    set(sources ${PROJECT_BINARY_DIR}/empty/${name}.cpp)
    file(CONFIGURE OUTPUT ${sources} CONTENT "")
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<INSTALL_INTERFACE:${COPPICE_INSTALLED_HEADERS}>)
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE $<BUILD_INTERFACE:coppice_warnings> ${arg_PRIVATE_LINK})
endfunction()
