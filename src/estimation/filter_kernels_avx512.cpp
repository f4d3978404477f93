// The loops for any size, compiled for AVX-512 (CMakeLists.txt): chosen at run time, only for models too large for the
// others.
#include "estimation/filter_loops.hpp"

namespace twinkeeper::estimation {

const FilterKernels* kernels_avx512() {
  static const FilterKernels table = Loops<0, 0>::table();
  return &table;
}

}  // namespace twinkeeper::estimation
