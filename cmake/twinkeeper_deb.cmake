# The Debian package: `cmake --build … --target package`. What stands where: packaging/README.md.
set(packaging ${PROJECT_SOURCE_DIR}/packaging)

# What only a package may put into a system: `cmake --install` leaves it alone.
function(twinkeeper_install_as file folder name)
  install(FILES ${packaging}/${file} DESTINATION ${folder} RENAME ${name} COMPONENT system EXCLUDE_FROM_ALL)
endfunction()
twinkeeper_install_as(sysusers.conf lib/sysusers.d twinkeeper.conf)
twinkeeper_install_as(tmpfiles.conf lib/tmpfiles.d twinkeeper.conf)
twinkeeper_install_as(modules-load.conf lib/modules-load.d twinkeeper.conf)
twinkeeper_install_as(60-twinkeeper.rules lib/udev/rules.d 60-twinkeeper.rules)
twinkeeper_install_as(twinkeeper.bash share/bash-completion/completions twinkeeper)
twinkeeper_install_as(twinkeeper.yaml /etc/twinkeeper twinkeeper.yaml)
install(DIRECTORY ${packaging}/drop-ins/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT runtime)
install(DIRECTORY ${packaging}/try-out DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT runtime)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/make-pki DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples/try-out COMPONENT runtime)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/config/schema DESTINATION share/twinkeeper COMPONENT runtime)

install(FILES ${packaging}/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)

# Compressed as Debian has them, without the time of day in them.
function(twinkeeper_install_compressed file folder name)
  add_custom_command(OUTPUT ${name}.gz DEPENDS ${file} VERBATIM COMMAND sh -c "gzip -9nc ${file} > ${name}.gz")
  set_property(GLOBAL APPEND PROPERTY twinkeeper_compressed ${CMAKE_CURRENT_BINARY_DIR}/${name}.gz)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.gz DESTINATION ${folder} COMPONENT runtime)
endfunction()
twinkeeper_install_compressed(${packaging}/man/twinkeeper.1 ${CMAKE_INSTALL_MANDIR}/man1 twinkeeper.1)
twinkeeper_install_compressed(${packaging}/man/twinkeeper.yaml.5 ${CMAKE_INSTALL_MANDIR}/man5 twinkeeper.yaml.5)
twinkeeper_install_compressed(${PROJECT_SOURCE_DIR}/CHANGELOG.md ${CMAKE_INSTALL_DOCDIR} changelog)
twinkeeper_install_compressed(${packaging}/debian/changelog ${CMAKE_INSTALL_DOCDIR} changelog.Debian)
get_property(compressed GLOBAL PROPERTY twinkeeper_compressed)
add_custom_target(compressed_documents ALL DEPENDS ${compressed})

# What it is made of, by the packages that are installed here.
find_program(TWINKEEPER_DPKG dpkg-query)
if(TWINKEEPER_DPKG AND NOT TWINKEEPER_SANITIZE AND NOT TWINKEEPER_COVERAGE)
  add_custom_command(OUTPUT twinkeeper.cdx.json DEPENDS twinkeeper ${packaging}/make_sbom.py VERBATIM
                     COMMAND /usr/bin/python3 ${packaging}/make_sbom.py --executable $<TARGET_FILE:twinkeeper>
                             --version ${PROJECT_VERSION} --output twinkeeper.cdx.json
                             --compiled libeigen3-dev nlohmann-json3-dev libcli11-dev)
  add_custom_target(sbom ALL DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/twinkeeper.cdx.json)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/twinkeeper.cdx.json DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/twinkeeper_cpack.cmake)
set(CPACK_PACKAGE_CONTACT "twinkeeper <maintainers@twinkeeper.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "digital twin of the machines behind a factory gateway")
set(CPACK_PACKAGE_DESCRIPTION
    "Reads sensors over Modbus TCP, Modbus RTU and serial lines, follows each\nmachine by a Kalman filter of its model, and publishes the state with its\nuncertainty and what is wrong to an MQTT broker over TLS. What waits for the\nbroker survives a power cut, and what had to be lost is told.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime system)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd (>= 250)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "tpm2-openssl, mosquitto-clients")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packaging}/debian/postinst ${packaging}/debian/prerm
    ${packaging}/debian/postrm ${packaging}/debian/conffiles)
include(CPack)
