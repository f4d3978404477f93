// A number as the unevaluated sum of two doubles, high + low with |low| ≤ ulp(high)/2: about 106 bits by plain IEEE
// arithmetic, so the same on every processor and compiler that neither fuses nor reorders.
//
// Errors, relative: sum and difference 3u², product 7u², quotient 15u², u = 2⁻⁵³, where nothing underflows.
// Edge rules: rounding to nearest; numbers beyond 2⁹⁹⁵ overflow in two_product; infinities and NaN are the caller's.
// Thread rule: free functions. Allocation: none.
// Source: Dekker, A floating-point technique for extending the available precision, Numer. Math. 18 (1971); Knuth, The
// Art of Computer Programming 2, section 4.2.2; bounds: Joldes, Muller, Popescu, ACM TOMS 44 (2017).
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

namespace twinkeeper::base {

static_assert(std::numeric_limits<double>::is_iec559 && FLT_EVAL_METHOD == 0,
              "doubles must be rounded to 53 bits after every operation");

struct DoubleDouble {
  double high = 0.0;
  double low = 0.0;
};

// The sum without error; |a| ≥ |b|.
constexpr DoubleDouble quick_two_sum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

// The sum without error.
constexpr DoubleDouble two_sum(double a, double b) {
  const double sum = a + b;
  const double b_seen = sum - a;
  return {sum, (a - (sum - b_seen)) + (b - b_seen)};
}

// The product without error, by halves of 26 and 27 bits.
constexpr DoubleDouble two_product(double a, double b) {
  constexpr double kSplitter = 0x1p27 + 1.0;
  const double a_scaled = kSplitter * a;
  const double b_scaled = kSplitter * b;
  const double a_high = a_scaled - (a_scaled - a);
  const double b_high = b_scaled - (b_scaled - b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  const double product = a * b;
  return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

constexpr DoubleDouble operator-(DoubleDouble a) { return {-a.high, -a.low}; }

constexpr DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble high = two_sum(a.high, b.high);
  const DoubleDouble low = two_sum(a.low, b.low);
  const DoubleDouble sum = quick_two_sum(high.high, high.low + low.high);
  return quick_two_sum(sum.high, sum.low + low.low);
}

constexpr DoubleDouble operator+(DoubleDouble a, double b) {
  const DoubleDouble sum = two_sum(a.high, b);
  return quick_two_sum(sum.high, sum.low + a.low);
}

constexpr DoubleDouble operator-(DoubleDouble a, DoubleDouble b) { return a + (-b); }

constexpr DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble product = two_product(a.high, b.high);
  return quick_two_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

constexpr DoubleDouble operator*(DoubleDouble a, double b) {
  const DoubleDouble product = two_product(a.high, b);
  return quick_two_sum(product.high, product.low + a.low * b);
}

constexpr DoubleDouble operator/(DoubleDouble a, DoubleDouble b) {
  const double first = a.high / b.high;
  const DoubleDouble rest = a - b * first;
  const double second = rest.high / b.high;
  const double third = (rest - b * second).high / b.high;
  return quick_two_sum(first, second) + third;
}

// a ≥ 0
inline DoubleDouble sqrt(DoubleDouble a) {
  const double root = std::sqrt(a.high);
  if (root == 0.0) return {};
  const DoubleDouble rest = a - two_product(root, root);
  return quick_two_sum(root, rest.high / (2.0 * root));
}

}  // namespace twinkeeper::base
