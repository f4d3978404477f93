#include "twinkeeper/base/elementary.hpp"

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "support/catch.hpp"

// The oracle is the C library's long double, whose errors are far below a unit of double; on 32-bit ARM it is no wider than
// double and errs by up to a unit itself, erfc by up to four (3.8 is the most that 4 million points show beside long double).
namespace twinkeeper::base {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLeast = std::numeric_limits<double>::denorm_min();
constexpr double kMost = std::numeric_limits<double>::max();
constexpr double kPi = std::numbers::pi;
constexpr double kLn2 = std::numbers::ln2;
constexpr double kLn2Rest = 0x1.abc9e3b39803fp-56;  // ln 2 − kLn2
constexpr std::size_t kPoints = 1'000'000;
constexpr bool kWideOracle = LDBL_MANT_DIG >= 64;
constexpr double kMostUnits = kWideOracle ? 1.0 : 2.0;
constexpr double kMostUnitsOfErfc = kWideOracle ? 1.0 : 5.0;
constexpr double kMostNotNearest = kWideOracle ? 0.02 : 1.0;

using Function = double (*)(double);
using Oracle = long double (*)(long double);

class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : engine_(seed) {}
  // Any mantissa, the exponent evenly among those given.
  double of_binades(int lowest, int highest) {
    const int exponent = lowest + static_cast<int>(engine_() % static_cast<std::uint64_t>(highest - lowest + 1));
    const double mantissa = 1.0 + static_cast<double>(engine_() >> 12U) * 0x1p-52;
    return std::ldexp((engine_() & 1U) != 0 ? mantissa : -mantissa, exponent);
  }
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(engine_() >> 11U) * 0x1p-53;
  }

 private:
  std::mt19937_64 engine_;
};

long double unit_in_the_last_place(long double exact) {
  const long double size = std::fabs(exact);
  if (size == 0.0L) return kLeast;
  return std::fmax(std::ldexp(1.0L, std::ilogb(size) - 52), static_cast<long double>(kLeast));
}

// In units in the last place; a result beyond the largest double counts as the infinity it rounds to.
double error_of(double value, long double exact) {
  const auto nearest = static_cast<double>(exact);
  if (value == nearest || (std::isnan(value) && std::isnan(nearest))) return 0.0;
  if (!std::isfinite(value) || !std::isfinite(nearest)) return kInfinity;
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact) / unit_in_the_last_place(exact));
}

struct Worst {
  double error = 0.0;
  double at = 0.0;
  std::size_t not_nearest = 0;
};

void check_against(Function function, Oracle oracle, const std::vector<double>& points,
                   double most_units = kMostUnits) {
  Worst worst;
  for (const double x : points) {
    const long double exact = oracle(x);
    const double value = function(x);
    const double error = error_of(value, exact);
    if (error > 0.0 && value != static_cast<double>(exact)) ++worst.not_nearest;
    if (error > worst.error) worst = {error, x, worst.not_nearest};
  }
  INFO("worst at " << std::hexfloat << worst.at << std::defaultfloat << ", not nearest " << worst.not_nearest << " of "
                   << points.size());
  CHECK(worst.error <= most_units);
  CHECK(static_cast<double>(worst.not_nearest) <= kMostNotNearest * static_cast<double>(points.size()));
}

// Neighbouring doubles, at places of every size.
void check_monotone(Function function, bool rising, const std::vector<double>& starts) {
  for (const double start : starts) {
    double x = start;
    double before = function(x);
    for (int i = 0; i < 40; ++i) {
      x = std::nextafter(x, kInfinity);
      const double now = function(x);
      if (rising ? now < before : now > before) FAIL("falls back at " << std::hexfloat << x);
      before = now;
    }
  }
}

std::vector<double> around(std::initializer_list<double> places) {
  std::vector<double> points;
  for (const double place : places) {
    double up = place, down = place;
    for (int i = 0; i < 200; ++i) {
      points.push_back(up);
      points.push_back(down);
      up = std::nextafter(up, kInfinity);
      down = std::nextafter(down, -kInfinity);
    }
  }
  return points;
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

}  // namespace

TEST_CASE("exp is within one unit in the last place over its whole range") {
  Numbers numbers(1);
  std::vector<double> points = around({0.0, 1.0, -1.0, std::log(2.0) / 2.0, -std::log(2.0) / 2.0, 1.5 * std::log(2.0),
                                       0x1.62e42fefa39efp+9, -0x1.6232bdd7abcd2p+9, -0x1.74910d52d3051p+9});
  for (std::size_t i = 0; i < kPoints / 2; ++i) {
    points.push_back(numbers.of_binades(-1074, 10));
    points.push_back(numbers.between(-746.0, 710.0));
  }
  for (int k = -1074; k <= 1024; ++k) {  // where the reduction steps
    points.push_back((k + 0.5) * std::log(2.0));
    points.push_back(k * std::log(2.0));
  }
  check_against(exp, std::exp, points);
  points.resize(20'000);
  check_monotone(exp, true, points);
}

TEST_CASE("log is within one unit in the last place over its whole range") {
  Numbers numbers(2);
  std::vector<double> points =
      around({1.0, std::sqrt(0.5), std::sqrt(2.0), 2.0, 0.5, std::numbers::e, 0x1p-1022, 10.0, 1e-8});
  for (std::size_t i = 0; i < kPoints / 2; ++i) {
    points.push_back(std::abs(numbers.of_binades(-1074, 1023)));
    points.push_back(1.0 + numbers.of_binades(-53, -2));
  }
  check_against(log, std::log, points);
  points.resize(20'000);
  check_monotone(log, true, points);
}

TEST_CASE("log1p is within one unit in the last place over its whole range") {
  Numbers numbers(3);
  std::vector<double> points =
      around({0.0, std::sqrt(0.5) - 1.0, std::sqrt(2.0) - 1.0, 1.0, -0.5, 0x1p-54, -0x1p-54, 0x1p53, 0x1p52});
  for (std::size_t i = 0; i < kPoints / 2; ++i) {
    points.push_back(std::abs(numbers.of_binades(-1074, 1023)));
    points.push_back(numbers.of_binades(-60, -1));
  }
  for (int i = 1; i < 200; ++i) points.push_back(-1.0 + i * 0x1p-53);
  check_against(log1p, std::log1p, points);
  points.resize(20'000);
  check_monotone(log1p, true, points);
}

TEST_CASE("erf is within one unit in the last place over its whole range") {
  Numbers numbers(4);
  std::vector<double> points = around({0.0, 0x1p-300, 3.0, -3.0, 6.0, 1.0, 0x1p-1022, 5.92});
  for (std::size_t i = 0; i < kPoints / 4; ++i) {
    points.push_back(numbers.of_binades(-1074, 3));
    points.push_back(numbers.of_binades(-30, 1));
    points.push_back(numbers.between(-6.0, 6.0));
    points.push_back(numbers.between(0.0, 3.0));
  }
  check_against(erf, std::erf, points);
  points.resize(5'000);
  check_monotone(erf, true, points);
}

TEST_CASE("erfc is within one unit in the last place over its whole range") {
  Numbers numbers(5);
  std::vector<double> points =
      around({0.0, 3.0, -3.0, -6.0, 1.0, 0.4769362762044699, 26.5, 27.2262, 0x1p-54, -0x1p-53});
  for (std::size_t i = 0; i < kPoints / 4; ++i) {
    points.push_back(numbers.of_binades(-1074, 4));
    points.push_back(numbers.of_binades(-30, 1));
    points.push_back(numbers.between(-6.5, 28.0));
    points.push_back(numbers.between(0.0, 4.0));
  }
  check_against(erfc, std::erfc, points, kMostUnitsOfErfc);
  points.resize(5'000);
  check_monotone(erfc, false, points);
}

TEST_CASE("atan2 and hypot are within one unit in the last place over the whole plane") {
  Numbers numbers(6);
  double worst_angle = 0.0, worst_length = 0.0;
  for (std::size_t i = 0; i < kPoints; ++i) {
    const int size = static_cast<int>(numbers.between(-1070.0, 1020.0));
    double x = numbers.of_binades(size, size + 3);
    double y = i % 2 == 0 ? numbers.of_binades(size, size + 3) : numbers.of_binades(-1074, 1022);
    if (i % 5 == 0) y = x * numbers.between(0.999, 1.001);
    if (i % 7 == 0) y = x * (std::sqrt(2.0) - 1.0) * numbers.between(0.999999, 1.000001);
    if (i % 3 == 0) std::swap(x, y);
    const double angle = error_of(atan2(y, x), std::atan2(static_cast<long double>(y), static_cast<long double>(x)));
    const double length = error_of(hypot(x, y), std::hypot(static_cast<long double>(x), static_cast<long double>(y)));
    if (angle > 1.0 || length > 1.0) FAIL("at " << std::hexfloat << x << ", " << y);
    worst_angle = std::fmax(worst_angle, angle);
    worst_length = std::fmax(worst_length, length);
  }
  CHECK(worst_angle <= kMostUnits);
  CHECK(worst_length <= kMostUnits);
}

TEST_CASE("elementary functions at zero, infinity, NaN and where they overflow or underflow") {
  for (const Function function : {exp, log, log1p, erf, erfc}) CHECK(std::isnan(function(kNan)));
  CHECK(same_bits(exp(0.0), 1.0));
  CHECK(same_bits(exp(-0.0), 1.0));
  CHECK(exp(kInfinity) == kInfinity);
  CHECK(same_bits(exp(-kInfinity), 0.0));
  CHECK(exp(kMost) == kInfinity);
  CHECK(same_bits(exp(-kMost), 0.0));
  CHECK(std::isfinite(exp(0x1.62e42fefa39efp+9)));  // the last before ln of the largest double
  CHECK(exp(0x1.62e42fefa39f0p+9) == kInfinity);
  CHECK(exp(-0x1.74910d52d3051p+9) == kLeast);
  CHECK(exp(-0x1.74910d52d3052p+9) == 0.0);
  CHECK(exp(kLeast) == 1.0);

  CHECK(log(0.0) == -kInfinity);
  CHECK(log(-0.0) == -kInfinity);
  CHECK(same_bits(log(1.0), 0.0));
  CHECK(log(kInfinity) == kInfinity);
  CHECK(std::isnan(log(-1.0)));
  CHECK(std::isnan(log(-kInfinity)));
  CHECK(std::isnan(log(-kLeast)));

  CHECK(same_bits(log1p(0.0), 0.0));
  CHECK(same_bits(log1p(-0.0), -0.0));
  CHECK(same_bits(log1p(kLeast), kLeast));
  CHECK(log1p(-1.0) == -kInfinity);
  CHECK(std::isnan(log1p(std::nextafter(-1.0, -2.0))));
  CHECK(log1p(kInfinity) == kInfinity);
  CHECK(std::isnan(log1p(-kInfinity)));

  CHECK(same_bits(erf(0.0), 0.0));
  CHECK(same_bits(erf(-0.0), -0.0));
  CHECK(erf(kInfinity) == 1.0);
  CHECK(erf(-kInfinity) == -1.0);
  CHECK(erf(kLeast) == kLeast);
  CHECK(erfc(0.0) == 1.0);
  CHECK(erfc(-0.0) == 1.0);
  CHECK(erfc(kInfinity) == 0.0);
  CHECK(erfc(-kInfinity) == 2.0);
  CHECK(erfc(27.3) == 0.0);
  CHECK(erfc(27.2) > 0.0);

  for (const double sign : {1.0, -1.0}) {
    CHECK(same_bits(atan2(sign * 0.0, 1.0), sign * 0.0));
    CHECK(same_bits(atan2(sign * 0.0, 0.0), sign * 0.0));
    CHECK(atan2(sign * 0.0, -0.0) == sign * kPi);
    CHECK(atan2(sign * 0.0, -1.0) == sign * kPi);
    CHECK(atan2(sign, 0.0) == sign * kPi / 2);
    CHECK(atan2(sign, -0.0) == sign * kPi / 2);
    CHECK(atan2(sign * kInfinity, 1.0) == sign * kPi / 2);
    CHECK(same_bits(atan2(sign, kInfinity), sign * 0.0));
    CHECK(atan2(sign, -kInfinity) == sign * kPi);
    CHECK(atan2(sign * kInfinity, kInfinity) == sign * kPi / 4);
    CHECK(atan2(sign * kInfinity, -kInfinity) == Approx(sign * 3 * kPi / 4).epsilon(1e-15));
    CHECK(same_bits(atan2(sign * kLeast, kMost), sign * 0.0));
    CHECK(atan2(sign * kMost, kLeast) == sign * kPi / 2);
  }
  CHECK(std::isnan(atan2(kNan, 1.0)));
  CHECK(std::isnan(atan2(1.0, kNan)));
  CHECK(hypot(kInfinity, kNan) == kInfinity);
  CHECK(hypot(kNan, -kInfinity) == kInfinity);
  CHECK(std::isnan(hypot(kNan, 1.0)));
  CHECK(hypot(0.0, -0.0) == 0.0);
  CHECK(hypot(-kMost, 0.0) == kMost);
  CHECK(hypot(kMost, kMost) == kInfinity);
  CHECK(hypot(kLeast, kLeast) == kLeast);  // √2 of the least rounds to one of it
}

// Digits from Abramowitz, Stegun (1964): tables 4.1, 4.2, 7.1; the rest follows from its form.
TEST_CASE("elementary functions at values known in closed form") {
  CHECK(exp(1.0) == 2.718281828459045235360);
  CHECK(exp(-1.0) == 0.367879441171442321596);
  CHECK(exp(10.0) == 22026.46579480671651696);
  CHECK(log(2.0) == 0.693147180559945309417);
  CHECK(log(10.0) == 2.302585092994045684018);
  CHECK(log1p(1.0) == 0.693147180559945309417);
  CHECK(log1p(-0.5) == -0.693147180559945309417);
  CHECK(erf(0.5) == 0.520499877813046537683);
  CHECK(erf(1.0) == 0.842700792949714869341);
  CHECK(erfc(1.0) == 0.157299207050285130659);
  CHECK(erfc(0.0) == 1.0);
  CHECK(atan2(1.0, 1.0) == 0.785398163397448309616);
  CHECK(atan2(1.0, std::sqrt(3.0)) == Approx(kPi / 6).epsilon(2e-16));
  CHECK(hypot(3.0, 4.0) == 5.0);
  CHECK(hypot(-5e300, 12e300) == Approx(13e300).epsilon(2e-16));
  CHECK(hypot(0x8p-1074, 0xfp-1074) == 0x11p-1074);
  for (int k = -1074; k <= 1023; ++k) {
    const double power = std::ldexp(1.0, k);
    const double product = k * kLn2;
    REQUIRE(log(power) == product + (std::fma(k, kLn2, -product) + k * kLn2Rest));
  }
}

// Not what is right (the tests above say) but that it is the same everywhere: one bit of one result changes the sum.
TEST_CASE("elementary functions give the same bits in every build") {
  const auto sum_of = [](auto function) {
    Numbers numbers(8);
    std::uint64_t sum = 0xCBF29CE484222325U;
    for (int i = 0; i < 100'000; ++i) {
      const double x = i % 2 == 0 ? numbers.of_binades(-20, 9) : numbers.between(-8.0, 8.0);
      const double value = function(x);
      if (!std::isnan(value)) sum = (sum ^ std::bit_cast<std::uint64_t>(value)) * 0x100000001B3U;
    }
    return sum;
  };
  CHECK(sum_of(exp) == 0x6672B91057232020U);
  CHECK(sum_of(log) == 0x97A4B32F50C9381DU);
  CHECK(sum_of(log1p) == 0xA6196CEEC0E014CAU);
  CHECK(sum_of(erf) == 0x7C75C2AE874BDD03U);
  CHECK(sum_of(erfc) == 0x8AEB3E90FD2CB1F2U);
  CHECK(sum_of([](double x) { return atan2(x, 0.7); }) == 0xE26993D8C838D6EU);
  CHECK(sum_of([](double x) { return hypot(x, 0.7); }) == 0xB0575B97B1FBC085U);
}

TEST_CASE("elementary functions keep the identities that define them") {
  Numbers numbers(7);
  for (int i = 0; i < 20'000; ++i) {
    const double x = numbers.between(-5.0, 5.0);
    REQUIRE(same_bits(erf(-x), -erf(x)));
    REQUIRE(std::abs(erf(x) + erfc(x) - 1.0) <= 0x1p-52);
    REQUIRE(std::abs(erfc(x) + erfc(-x) - 2.0) <= 0x1p-51);
    REQUIRE(std::abs(exp(x) * exp(-x) - 1.0) <= 0x1p-50);
    REQUIRE(std::abs(log(exp(x)) - x) <= 0x1p-52 * (1.0 + std::abs(x)));
    const double y = numbers.between(-5.0, 5.0);
    REQUIRE(same_bits(atan2(-y, x), -atan2(y, x)));
    REQUIRE(hypot(x, y) == hypot(-y, x));
    REQUIRE(same_bits(log1p(x * 0x1p-80), x * 0x1p-80));
  }
}

}  // namespace twinkeeper::base
