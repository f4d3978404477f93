#include "estimation/filter_kernels.hpp"

#include "estimation/filter_loops.hpp"

namespace twinkeeper::estimation {
namespace {

constexpr int kStateSizes[] = {2, 4, 6, 8, 12, 16};
constexpr int kOutputSizes[] = {2, 4, 8};

template <int kN, int kP>
const FilterKernels kTable = Loops<kN, kP>::table();

template <int kN>
const FilterKernels& table_for(int p) {
  switch (p) {
    case 2: return kTable<kN, 2>;
    case 4: return kTable<kN, 4>;
    default: return kTable<kN, 8>;
  }
}

const FilterKernels& kernels_for_large() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return *kernels_avx512();
  if (__builtin_cpu_supports("avx2")) return *kernels_avx2();
#endif
  return *kernels_plain();
}

}  // namespace

const FilterKernels* kernels_plain() { return &kTable<0, 0>; }

PaddedSize padded_size(int n, int p) {
  const auto whole = [](int size, int unit) { return (size + unit - 1) / unit * unit; };
  const PaddedSize size{whole(n, 4), whole(p, 4)};
  for (const int candidate : kStateSizes) {
    if (n > candidate) continue;
    for (const int rows : kOutputSizes) {
      if (p <= rows) return {candidate, rows};
    }
  }
  return size;
}

const FilterKernels& kernels_for(PaddedSize size) {
  static const FilterKernels& large = kernels_for_large();
  if (size.p == 2 || size.p == 4 || size.p == 8) {
    switch (size.n) {
      case 2: return table_for<2>(size.p);
      case 4: return table_for<4>(size.p);
      case 6: return table_for<6>(size.p);
      case 8: return table_for<8>(size.p);
      case 12: return table_for<12>(size.p);
      case 16: return table_for<16>(size.p);
      default: break;
    }
  }
  return large;
}

}  // namespace twinkeeper::estimation
