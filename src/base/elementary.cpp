#include "twinkeeper/base/elementary.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/double_double.hpp"

namespace twinkeeper::base {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// ln 2 in three parts; the first two have 42 bits, so their products with |k| < 2¹¹ are exact.
constexpr double kLn2High = 0x1.62e42fefa38p-1;
constexpr double kLn2Middle = 0x1.ef35793c76p-45;
constexpr double kLn2Low = 0x1.cc01f97b57a08p-87;
constexpr double kInverseLn2 = 0x1.71547652b82fep+0;
constexpr double kRootHalf = 0x1.6a09e667f3bcdp-1;                                     // √½
constexpr DoubleDouble kQuarterPi{0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55};        // π/4
constexpr DoubleDouble kInverseRootPi{0x1.20dd750429b6dp-1, 0x1.1ae3a914fed8p-57};     // 1/√π
constexpr DoubleDouble kTwoInverseRootPi{0x1.20dd750429b6dp+0, 0x1.1ae3a914fed8p-56};  // 2/√π
constexpr double kSeriesBelow = 3.0;                                                   // of erf and erfc

// mantissa · 2^exponent, the mantissa near 1
struct Scaled {
  DoubleDouble mantissa;
  int exponent = 0;
};

// 1/3!, 1/4!, …: 0.3466¹⁶/16! is 2⁻⁶⁸.
constexpr std::size_t kExpTerms = 13;
constexpr std::array<double, kExpTerms> kExpTail = [] {
  std::array<double, kExpTerms> tail{};
  double factorial = 2.0;
  for (std::size_t i = 0; i < tail.size(); ++i) {
    factorial *= static_cast<double>(i + 3);
    tail[i] = 1.0 / factorial;
  }
  return tail;
}();

// e^x to about 2⁻⁵⁹; |x| < 1000.
Scaled exp_of(DoubleDouble x) {
  const double k = std::floor(x.high * kInverseLn2 + 0.5);
  const DoubleDouble r = (x + (-k * kLn2High)) + (-k * kLn2Middle) + (-k * kLn2Low);
  double tail = kExpTail.back();
  for (std::size_t i = kExpTail.size() - 1; i > 0; --i) tail = tail * r.high + kExpTail[i - 1];
  const DoubleDouble square = two_product(r.high, r.high);
  const DoubleDouble line = quick_two_sum(1.0, r.high);
  const DoubleDouble parabola = two_sum(line.high, 0.5 * square.high);
  const double small = parabola.low + line.low + r.low + (0.5 * square.low + r.high * r.low);
  return {quick_two_sum(parabola.high, small + tail * r.high * square.high), static_cast<int>(k)};
}

// 1/3, 1/5, …: 0.1716²⁶/27 is 2⁻⁷¹.
constexpr std::size_t kLogTerms = 12;
constexpr std::array<double, kLogTerms> kLogTail = [] {
  std::array<double, kLogTerms> tail{};
  for (std::size_t i = 0; i < tail.size(); ++i) tail[i] = 1.0 / static_cast<double>(2 * i + 3);
  return tail;
}();

// ln(2^k (m + c)); √½ ≤ m < √2 or, with k = 0, anything near; |c| < 2⁻⁵² m.
double log_of(double m, double c, int k) {
  const DoubleDouble above = two_sum(m - 1.0, c);  // m − 1 is exact
  const DoubleDouble below = two_sum(m, 1.0) + c;
  const double s = above.high / below.high;
  const DoubleDouble back = two_product(s, below.high);
  const double s_low = (((above.high - back.high) - back.low) + above.low - s * below.low) / below.high;
  const double square = s * s;
  double tail = kLogTail.back();
  for (std::size_t i = kLogTail.size() - 1; i > 0; --i) tail = tail * square + kLogTail[i - 1];
  const double exponent = k;
  const DoubleDouble high = two_sum(exponent * kLn2High, 2.0 * s);
  return high.high + (high.low + (exponent * kLn2Middle + 2.0 * (s_low + s * square * tail)));
}

// x > 0 and finite as 2^exponent · m with √½ ≤ m < √2.
double balanced_mantissa(double x, int& exponent) {
  double m = std::frexp(x, &exponent);
  if (m < kRootHalf) {
    m *= 2.0;
    --exponent;
  }
  return m;
}

// (−1)ⁿ / (n! (2n + 1))
constexpr std::size_t kErfTerms = 72;
constexpr std::array<DoubleDouble, kErfTerms> kErfSeries = [] {
  std::array<DoubleDouble, kErfTerms> series{};
  DoubleDouble term{1.0, 0.0};
  for (std::size_t n = 0; n < series.size(); ++n) {
    if (n > 0) term = -(term / DoubleDouble{static_cast<double>(n), 0.0});
    series[n] = term / DoubleDouble{static_cast<double>(2 * n + 1), 0.0};
  }
  return series;
}();

// erf(x), 2⁻³⁰⁰ < x < 3. The terms grow up to e^(x²) ≤ 2¹³ and cancel, which double-double can spare.
DoubleDouble erf_series(double x) {
  const DoubleDouble square = two_product(x, x);
  std::size_t n = 18 + static_cast<std::size_t>(5.5 * square.high);  // the first term left out is below 2⁻⁷⁸
  DoubleDouble sum = kErfSeries[n];
  while (n-- > 0) sum = sum * square + kErfSeries[n];
  return sum * kTwoInverseRootPi * x;
}

// erfc(x), 3 ≤ x < 28
Scaled erfc_fraction(double x) {
  const auto levels = 12 + static_cast<int>(400.0 / (x * x));  // found by doubling them: 2⁻⁶⁶ or better
  DoubleDouble fraction{x, 0.0};
  for (int n = levels; n > 0; --n) fraction = DoubleDouble{0.5 * n, 0.0} / fraction + x;
  Scaled result = exp_of(-two_product(x, x));
  result.mantissa = result.mantissa * kInverseRootPi / fraction;
  return result;
}

// (−1)ⁿ / (2n + 1)
constexpr std::size_t kAtanTerms = 28;
constexpr std::array<DoubleDouble, kAtanTerms> kAtanSeries = [] {
  std::array<DoubleDouble, kAtanTerms> series{};
  for (std::size_t n = 0; n < series.size(); ++n) {
    series[n] = DoubleDouble{n % 2 == 0 ? 1.0 : -1.0, 0.0} / DoubleDouble{static_cast<double>(2 * n + 1), 0.0};
  }
  return series;
}();

// 0 ≤ t ≤ 1
DoubleDouble atan_of(DoubleDouble t) {
  constexpr double kTanEighthPi = 0x1.a827999fcef32p-2;
  const bool turned = t.high > kTanEighthPi;
  if (turned) t = (t + (-1.0)) / (t + 1.0);
  const DoubleDouble square = t * t;
  DoubleDouble sum = kAtanSeries.back();
  for (std::size_t n = kAtanTerms - 1; n > 0; --n) sum = sum * square + kAtanSeries[n - 1];
  return turned ? kQuarterPi + sum * t : sum * t;
}

}  // namespace

double exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 710.0) return kInfinity;
  if (x < -746.0) return 0.0;
  const Scaled result = exp_of({x, 0.0});
  return std::ldexp(result.mantissa.high, result.exponent);
}

double log(double x) {
  if (std::isnan(x) || x == kInfinity) return x;
  if (x == 0.0) return -kInfinity;
  if (x < 0.0) return kNan;
  int exponent = 0;
  const double m = balanced_mantissa(x, exponent);
  return log_of(m, 0.0, exponent);
}

double log1p(double x) {
  if (std::isnan(x) || x == kInfinity || std::abs(x) < 0x1p-54) return x;
  if (x == -1.0) return -kInfinity;
  if (x < -1.0) return kNan;
  const DoubleDouble sum = two_sum(1.0, x);
  int exponent = 0;
  const double m = balanced_mantissa(sum.high, exponent);
  return log_of(m, std::ldexp(sum.low, -exponent), exponent);
}

double erf(double x) {
  if (std::isnan(x)) return x;
  const double size = std::abs(x);
  double result = 0.0;
  if (size < 0x1p-300) {  // x² is nothing; scaled, so that the low part does not underflow
    result = std::ldexp((kTwoInverseRootPi * std::ldexp(size, 600)).high, -600);
  } else if (size < kSeriesBelow) {
    result = erf_series(size).high;
  } else if (size < 6.0) {
    const Scaled rest = erfc_fraction(size);
    result = 1.0 - std::ldexp(rest.mantissa.high, rest.exponent);
  } else {
    result = 1.0;
  }
  return std::copysign(result, x);
}

double erfc(double x) {
  if (std::isnan(x)) return x;
  if (x < -6.0) return 2.0;
  if (x > 28.0) return 0.0;
  if (std::abs(x) < 0x1p-60) return 1.0;
  if (std::abs(x) >= kSeriesBelow) {
    const Scaled result = erfc_fraction(std::abs(x));
    const double rest = std::ldexp(result.mantissa.high, result.exponent);
    return x > 0.0 ? rest : 2.0 - rest;
  }
  const DoubleDouble series = erf_series(std::abs(x));
  return ((x < 0.0 ? series : -series) + 1.0).high;
}

double atan2(double y, double x) {
  if (std::isnan(x) || std::isnan(y)) return kNan;
  const double width = std::abs(x);
  const double height = std::abs(y);
  const bool steep = height > width;
  const double shorter = std::min(width, height);
  const double longer = std::max(width, height);
  DoubleDouble angle;  // of the ray folded into the first octant
  if (shorter == longer) {
    if (longer > 0.0) angle = kQuarterPi;
  } else if (std::isfinite(longer)) {
    int shorter_exponent = 0;
    int longer_exponent = 0;
    const double a = std::frexp(shorter, &shorter_exponent);
    const double b = std::frexp(longer, &longer_exponent);
    const int apart = shorter_exponent - longer_exponent;
    if (apart < -40) {
      if (!steep && !std::signbit(x)) return std::copysign(shorter / longer, y);  // t − t³/3 is t
      angle.high = std::ldexp(a / b, std::max(apart, -200));
    } else {
      const DoubleDouble t = DoubleDouble{a, 0.0} / DoubleDouble{b, 0.0};
      angle = atan_of({std::ldexp(t.high, apart), std::ldexp(t.low, apart)});
    }
  }
  if (steep) angle = kQuarterPi * 2.0 - angle;
  if (std::signbit(x)) angle = kQuarterPi * 4.0 - angle;
  return std::copysign(angle.high, y);
}

double hypot(double x, double y) {
  if (std::isinf(x) || std::isinf(y)) return kInfinity;
  if (std::isnan(x) || std::isnan(y)) return kNan;
  const double longer = std::max(std::abs(x), std::abs(y));
  const double shorter = std::min(std::abs(x), std::abs(y));
  if (shorter == 0.0) return longer;
  int exponent = 0;
  const double a = std::frexp(longer, &exponent);
  const double b = std::ldexp(shorter, -exponent);
  if (b < 0x1p-60) return longer;
  return std::ldexp(sqrt(two_product(a, a) + two_product(b, b)).high, exponent);
}

}  // namespace twinkeeper::base
