// The loops of large models: the same bits whatever the instructions.
#include "estimation/filter_kernels.hpp"

#include <random>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace twinkeeper::estimation;

struct Set {
  const char* name;
  const FilterKernels* kernels;
};

std::vector<Set> sets_of_this_processor() {
  std::vector<Set> sets{{"plain", kernels_plain()}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) sets.push_back({"avx2", kernels_avx2()});
  if (__builtin_cpu_supports("avx512f")) sets.push_back({"avx512", kernels_avx512()});
#endif
  return sets;
}

FilterArrays random_arrays(std::mt19937_64& engine, int n, int m, int p) {
  std::normal_distribution<double> normal;
  const auto filled = [&](int size) {
    std::vector<double> values(static_cast<std::size_t>(size));
    for (double& value : values) value = normal(engine);
    return values;
  };
  FilterArrays a;
  a.n = a.np = n;
  a.m = m;
  a.p = a.pp = p;
  a.ld = n + p;
  a.A = filled(n * n);
  a.B = filled(n * m);
  a.C = filled(p * n);
  a.D = filled(p * m);
  a.drift = filled(n);
  a.R.assign(static_cast<std::size_t>(p), 0.5);
  a.Q_root = filled(n * n);
  a.W = filled(n * p);
  a.x_prior = filled(n);
  a.T_prior = filled(n * n);
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < k; ++i)
      a.Q_root[static_cast<std::size_t>(k * n + i)] = a.T_prior[static_cast<std::size_t>(k * n + i)] = 0.0;
  }
  a.x_next.resize(static_cast<std::size_t>(n));
  a.T_next.resize(static_cast<std::size_t>(n * n));
  a.z.resize(static_cast<std::size_t>(a.ld));
  a.E.resize(static_cast<std::size_t>(a.ld * n));
  a.gain.resize(static_cast<std::size_t>(a.ld * p));
  a.s.resize(static_cast<std::size_t>(p));
  a.AT.resize(static_cast<std::size_t>(n * n));
  a.expected.resize(static_cast<std::size_t>(p));
  a.variance.resize(static_cast<std::size_t>(p));
  a.scratch.resize(static_cast<std::size_t>(2 * a.ld));
  return a;
}

}  // namespace

TEST_CASE("The loops give the same bits with every set of instructions that the processor has") {
  std::mt19937_64 engine(9);
  for (const auto& [n, m, p] : {std::array{20, 3, 12}, {32, 0, 4}, {36, 2, 16}, {64, 4, 16}}) {
    const FilterArrays start = random_arrays(engine, n, m, p);
    const std::vector<double> u(static_cast<std::size_t>(m), 0.75);
    std::vector<FilterArrays> results;
    std::vector<double> told;
    for (const Set& set : sets_of_this_processor()) {
      CAPTURE(set.name, n, m, p);
      FilterArrays a = start;
      double nis = 0.0;
      for (int k = 0; k < 3; ++k) {
        set.kernels->observe(a, u.data());
        set.kernels->spread(a);
        for (int row = 0; row < p; ++row) {
          a.z[static_cast<std::size_t>(n + row)] += 0.25 * (row + 1);
          nis += set.kernels->fuse(a, row, 0.5);
        }
        set.kernels->variances(a, a.scratch.data());
        nis += a.scratch[0];
        REQUIRE(set.kernels->predict(a, u.data(), k));
        a.x_prior = a.x_next;
        a.T_prior = a.T_next;
      }
      results.push_back(a);
      told.push_back(nis);
      CHECK(told.back() == told.front());
      CHECK(results.back().x_next == results.front().x_next);
      CHECK(results.back().T_next == results.front().T_next);
      CHECK(results.back().variance == results.front().variance);
    }
  }
}
