# twinkeeper_layer(NAME SOURCES … LAYERS … LIBRARIES … [SMALL])
# One layer as one static library `twinkeeper::NAME`, linked to the layers and third-party libraries its row in
# docs/architecture.md allows, and to nothing else. SMALL: what runs once or once in a while, for size instead of speed.
function(twinkeeper_layer name)
  cmake_parse_arguments(arg "SMALL" "" "SOURCES;LAYERS;LIBRARIES" ${ARGN})
  add_library(twinkeeper_${name} STATIC ${arg_SOURCES})
  add_library(twinkeeper::${name} ALIAS twinkeeper_${name})
  target_include_directories(twinkeeper_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                       $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  list(TRANSFORM arg_LAYERS PREPEND twinkeeper::)
  target_link_libraries(twinkeeper_${name} PUBLIC twinkeeper::numerics $<BUILD_INTERFACE:twinkeeper::flags> ${arg_LAYERS}
                                                  ${arg_LIBRARIES})
  if(arg_SMALL AND CMAKE_CXX_FLAGS_RELEASE MATCHES "-O2")  # unless whoever builds wants something else
    target_compile_options(twinkeeper_${name} PRIVATE $<$<CONFIG:Release>:-Os>)
  endif()
  if(TWINKEEPER_SANITIZE AND TWINKEEPER_EDGE AND NOT name IN_LIST TWINKEEPER_EDGE_LAYERS)
    target_compile_options(twinkeeper_${name} PRIVATE -O0)
  endif()
endfunction()

# twinkeeper_unit_test(LAYER SOURCES …  [LAYERS extra layers])
# The unit tests of one layer as one executable `unit_LAYER`, every case registered with CTest under its own name.
function(twinkeeper_unit_test layer)
  cmake_parse_arguments(arg "" "" "SOURCES;LAYERS;LIBRARIES" ${ARGN})
  add_executable(unit_${layer} ${arg_SOURCES})
  list(TRANSFORM arg_LAYERS PREPEND twinkeeper::)
  target_include_directories(unit_${layer} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(unit_${layer} PRIVATE TWINKEEPER_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(unit_${layer} PRIVATE twinkeeper::${layer} ${arg_LAYERS} ${arg_LIBRARIES} catch_main)
  if(layer IN_LIST TWINKEEPER_EDGE_LAYERS)
    twinkeeper_discover_tests(unit_${layer} PREFIX ${layer} EDGE)
  else()
    twinkeeper_discover_tests(unit_${layer} PREFIX ${layer})
  endif()
endfunction()

# Registers every Catch2 case of `target` with CTest. EDGE: see tests/CMakeLists.txt.
function(twinkeeper_discover_tests target)
  cmake_parse_arguments(arg "EDGE" "PREFIX" "" ${ARGN})
  set(labels "")
  if(arg_EDGE)
    set(labels LABELS edge)
    add_dependencies(edge ${target})
  endif()
  set(timeout 300)
  if(TWINKEEPER_SANITIZE)
    set(timeout 900)
  elseif(CMAKE_CROSSCOMPILING)  # under qemu-user
    set(timeout 3000)
  endif()
  if(Catch2_VERSION VERSION_GREATER_EQUAL 3)  # the module of version 2 takes this for a name of a test
    set(strict DISCOVERY_TIMEOUT 60)
  else()  # version 3 takes no test for a failure by itself
    set(strict EXTRA_ARGS -w NoTests)
  endif()
  catch_discover_tests(${target} TEST_PREFIX "${arg_PREFIX}: " ${strict}
                       PROPERTIES TIMEOUT ${timeout} ${labels})
endfunction()
