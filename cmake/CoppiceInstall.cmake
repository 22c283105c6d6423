# `cmake --install BUILD --prefix DIR`: the deployment runtime as the CMake package CoppiceRuntime (component library),
# and the command with what measures (component command). Headers keep the paths that the tree includes them by.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(runtime_package ${CMAKE_INSTALL_LIBDIR}/cmake/CoppiceRuntime)
# coppice_runtime.h is the one for C; the others are what engine.h, cpk.h, arena_use.h and work.h reach.
set(runtime_headers
  arena_use.h coppice_runtime.h cpk.h engine.h engine_step.h error.h inference.h interpreter.h layout.h ops.def
  planner.h program.h schedule.h step.h tensor.h work.h workers.h)
list(TRANSFORM runtime_headers PREPEND ${PROJECT_SOURCE_DIR}/deploy/runtime/)

set_target_properties(coppice_runtime PROPERTIES EXPORT_NAME runtime)
set_target_properties(coppice_kernels PROPERTIES EXPORT_NAME kernels)
install(TARGETS coppice_runtime coppice_kernels EXPORT CoppiceRuntime
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(FILES ${runtime_headers} DESTINATION ${COPPICE_INSTALLED_HEADERS}/deploy/runtime COMPONENT library)
install(FILES ${PROJECT_SOURCE_DIR}/kernels/integer/integer.h
        DESTINATION ${COPPICE_INSTALLED_HEADERS}/kernels/integer COMPONENT library)
install(EXPORT CoppiceRuntime NAMESPACE Coppice:: FILE CoppiceRuntimeTargets.cmake DESTINATION ${runtime_package}
        COMPONENT library)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/CoppiceRuntimeConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/CoppiceRuntimeConfig.cmake
              ${PROJECT_BINARY_DIR}/CoppiceRuntimeConfigVersion.cmake
        DESTINATION ${runtime_package} COMPONENT library)

if(TARGET coppice)
  set_target_properties(coppice PROPERTIES INSTALL_RPATH "${LIBTORCH_LIBRARY_DIR}")
  install(TARGETS coppice coppice-measure RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()
