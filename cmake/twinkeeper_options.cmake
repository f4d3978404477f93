# Options and the one set of compiler flags of the whole project (mixing flags between libraries that share Eigen types
# corrupts the heap, and fused multiply-add would make two processors disagree in the last digit).
option(TWINKEEPER_BUILD_TESTS "Build the tests" ON)
option(TWINKEEPER_BUILD_BENCH "Build the benchmarks" OFF)
option(TWINKEEPER_WERROR "Treat warnings as errors" OFF)
set(TWINKEEPER_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined or thread)")
set(TWINKEEPER_EDGE_LAYERS base acquisition logs drivers uplink aws)  # tests/CMakeLists.txt says what these are
option(TWINKEEPER_EDGE "Of sanitized builds the edge is wanted alone: other layers compile quickly instead of running fast" OFF)
option(TWINKEEPER_COVERAGE "Instrument for coverage" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(TWINKEEPER_CCACHE ccache)
if(TWINKEEPER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TWINKEEPER_CCACHE})
endif()

# What everyone who includes our headers must share; it travels with the installed targets (docs/library.md).
add_library(twinkeeper_numerics INTERFACE)
add_library(twinkeeper::numerics ALIAS twinkeeper_numerics)
target_compile_features(twinkeeper_numerics INTERFACE cxx_std_20)
target_compile_definitions(twinkeeper_numerics INTERFACE EIGEN_DONT_VECTORIZE)
target_compile_options(twinkeeper_numerics INTERFACE -ffp-contract=off)

# Beside it, what is a matter of this build alone.
add_library(twinkeeper_flags INTERFACE)
add_library(twinkeeper::flags ALIAS twinkeeper_flags)
target_link_libraries(twinkeeper_flags INTERFACE twinkeeper::numerics)
target_compile_definitions(twinkeeper_flags INTERFACE JSON_USE_IMPLICIT_CONVERSIONS=0)
# Where it was built is nobody's business: the same sources give the same bytes in any folder.
target_compile_options(twinkeeper_flags INTERFACE $<$<CONFIG:Release>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.>
                                                  $<$<CONFIG:Release>:-ffile-prefix-map=${PROJECT_BINARY_DIR}=build>)
# Certificates outlive 2038, and disks have more than 4 GB. No library that is linked has a time_t or off_t in what we
# call of it (OpenSSL's times are converted from struct tm, libmodbus counts in its own integers).
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  target_compile_definitions(twinkeeper_flags INTERFACE _TIME_BITS=64 _FILE_OFFSET_BITS=64)
endif()
target_compile_options(twinkeeper_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
# GCC 12 warns of overlapping copies inside std::string where there are none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(twinkeeper_flags INTERFACE -Wno-restrict)
  if(CMAKE_UNITY_BUILD)  # it takes a joined file for a header that others include, too
    target_compile_options(twinkeeper_flags INTERFACE -Wno-subobject-linkage)
  endif()
endif()
if(TWINKEEPER_WERROR)
  target_compile_options(twinkeeper_flags INTERFACE -Werror)
endif()
# Functions that nothing calls are left out, and what Debian hardens its packages with. Size before the last per cent of speed:
# -O3 makes half as much code again.
string(REPLACE -O3 -O2 CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
target_compile_options(twinkeeper_flags INTERFACE -ffunction-sections -fdata-sections)
target_link_options(twinkeeper_flags INTERFACE -Wl,--gc-sections)
if(NOT TWINKEEPER_SANITIZE AND NOT TWINKEEPER_COVERAGE)
  target_compile_options(twinkeeper_flags INTERFACE -fPIE -fstack-protector-strong -fstack-clash-protection
                         $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  target_link_options(twinkeeper_flags INTERFACE -pie -Wl,-z,relro,-z,now)
endif()
if(TWINKEEPER_SANITIZE)
  target_compile_definitions(twinkeeper_flags INTERFACE TWINKEEPER_SANITIZED)  # compilers tell it each in its own way
  target_compile_options(twinkeeper_flags INTERFACE -fsanitize=${TWINKEEPER_SANITIZE} -fno-omit-frame-pointer
                                                    -fno-sanitize-recover=all)
  # Instrumented code defeats GCC's flow analysis: it then takes std::optional's storage for uninitialised.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(twinkeeper_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
  target_link_options(twinkeeper_flags INTERFACE -fsanitize=${TWINKEEPER_SANITIZE})
  # Checks of each access for what AddressSanitizer finds anyway: they take as long to compile as all the rest.
  if(TWINKEEPER_SANITIZE MATCHES "address,undefined")
    target_compile_options(twinkeeper_flags INTERFACE -fno-sanitize=null,alignment,object-size,vptr,pointer-overflow)
  endif()
  if(TWINKEEPER_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(twinkeeper_flags INTERFACE -fsanitize=fuzzer-no-link)  # what libFuzzer is led by
  endif()
endif()
if(TWINKEEPER_COVERAGE)
  target_compile_options(twinkeeper_flags INTERFACE --coverage -O0)
  target_link_options(twinkeeper_flags INTERFACE --coverage)
endif()
