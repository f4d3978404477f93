#include "base/random.hpp"

#include <cmath>

#include "support/catch.hpp"

namespace twinkeeper::base {

TEST_CASE("Random gives the same numbers for the same seed and others for another seed or stream") {
  Random a(5), b(5), c(6), d(5, "one"), e(5, "two");
  const auto first = a.bits();
  CHECK(first == b.bits());
  CHECK(first != c.bits());
  CHECK(d.bits() != e.bits());
}

TEST_CASE("Normal numbers have the moments of the standard normal distribution") {
  Random random(11);
  constexpr int kCount = 400000;
  double sum = 0.0, square = 0.0, fourth = 0.0;
  int beyond_two = 0;
  for (int i = 0; i < kCount; ++i) {
    const double z = random.normal();
    sum += z;
    square += z * z;
    fourth += z * z * z * z;
    beyond_two += std::abs(z) > 2.0 ? 1 : 0;
  }
  CHECK(std::abs(sum / kCount) < 4.0 / std::sqrt(kCount));
  CHECK(std::abs(square / kCount - 1.0) < 4.0 * std::sqrt(2.0 / kCount));
  CHECK(std::abs(fourth / kCount - 3.0) < 4.0 * std::sqrt(96.0 / kCount));
  CHECK(static_cast<double>(beyond_two) / kCount == Approx(0.0455).margin(0.0015));
}

TEST_CASE("Uniform numbers stay in the half-open unit interval with mean one half") {
  Random random(3);
  double sum = 0.0;
  for (int i = 0; i < 100000; ++i) {
    const double u = random.uniform();
    REQUIRE((u >= 0.0 && u < 1.0));
    sum += u;
  }
  CHECK(sum / 100000 == Approx(0.5).margin(0.004));
}

}  // namespace twinkeeper::base
