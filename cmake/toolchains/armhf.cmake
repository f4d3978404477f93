set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE armhf)
set(triplet arm-linux-gnueabihf)
set(emulator qemu-arm-static)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
# psabi: of compilers before GCC 7, with which nothing here is shared. aggressive-loop-optimizations: of loops over an `int`
# of doubles, which would leave the 4 GB of addresses before the int is at its end; the largest model is a few MB.
set(CMAKE_CXX_FLAGS_INIT "-Wno-psabi -Wno-aggressive-loop-optimizations")
