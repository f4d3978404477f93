# The installed C++ library (docs/library.md): layers with public headers as imported targets twinkeeper::<layer>, and
# twinkeeper::twinkeeper for all of them. A layer becomes public by its name in this list.
set(library_layers base signals model estimation diagnosis prediction)

include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/twinkeeper)

add_library(twinkeeper_library INTERFACE)
add_library(twinkeeper::twinkeeper ALIAS twinkeeper_library)
set_target_properties(twinkeeper_library PROPERTIES EXPORT_NAME twinkeeper)
set_target_properties(twinkeeper_numerics PROPERTIES EXPORT_NAME numerics)
install(TARGETS twinkeeper_library twinkeeper_numerics EXPORT twinkeeper)
foreach(layer ${library_layers})
  target_link_libraries(twinkeeper_library INTERFACE twinkeeper_${layer})
  set_target_properties(twinkeeper_${layer} PROPERTIES EXPORT_NAME ${layer})
  install(TARGETS twinkeeper_${layer} EXPORT twinkeeper
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/twinkeeper/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/twinkeeper
          COMPONENT development)
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/twinkeeperConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/twinkeeperConfig.cmake INSTALL_DESTINATION ${package_folder})
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/twinkeeperConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT twinkeeper NAMESPACE twinkeeper:: FILE twinkeeperTargets.cmake DESTINATION ${package_folder}
        COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/twinkeeperConfig.cmake ${PROJECT_BINARY_DIR}/twinkeeperConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
