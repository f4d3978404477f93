// exp, log, log1p, erf, erfc, atan2 and hypot that give the same bits on every processor, compiler and C library.
//
// A C library picks its own versions of these by the processor at hand (with or without fused multiply-add, which
// round differently), so nothing whose result reaches an output calls it: only what IEEE 754 rounds correctly (+ − × ÷,
// sqrt) and what is exact anyway (floor, round, frexp, ldexp, …) is the same everywhere.
//
//   exp(x)      x = k ln 2 + r, |r| ≤ ln 2 / 2:           eˣ = 2ᵏ (1 + r + r²/2 + Σₙ₌₃ rⁿ/n!)
//   log(x)      x = 2ᵏ m, √½ ≤ m < √2, s = (m−1)/(m+1):   ln x = k ln 2 + 2 (s + Σₙ₌₁ s²ⁿ⁺¹/(2n+1))
//   log1p(x)    the same with 1 + x = 2ᵏ (m + c), c what rounding 1 + x took away
//   erf(x)      |x| < 3:                                   2/√π · Σₙ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n+1));  else 1 − erfc(x)
//   erfc(x)     x ≥ 3:   e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))));  else 1 − erf(x)
//   atan2(y,x)  t = min/max of |x|, |y|, turned by π/4 where t > √2 − 1:       Σₙ (−1)ⁿ t²ⁿ⁺¹/(2n+1)
//   hypot(x,y)  √(x² + y²), scaled by a power of two
//
// | symbol | shape | unit | meaning                                                                |
// |--------|-------|------|------------------------------------------------------------------------|
// | x, y   | ()    | –    | argument; result of atan2 in radians, −π … π                           |
//
// Errors: at most 1 unit in the last place (measured: 0.54, where the result is subnormal 0.75; 99 of 100 results are
// the nearest double). Leading terms are carried in double-double, the rest of a series in double. Monotone as tested.
// Edge rules: as C's Annex F (signs of zero, infinities, NaN in gives NaN out), subnormal arguments and results
// included; errno and the floating-point exceptions are left to chance. The rounding mode must be to nearest.
//
// Thread rule: free functions. Allocation: none. Cost: exp, log, log1p, hypot 20 to 50 ns, the others up to 5 µs.
//
// Source: reduction of exp: Cody, Waite, Software Manual for the Elementary Functions (1980); leading terms in two
// parts: Tang, ACM TOMS 15 (1989) and 16 (1990); erf and erfc: Abramowitz, Stegun 7.1.5 and 7.1.14; atan: ibid. 4.4.34
// and 4.4.42.
#pragma once

namespace twinkeeper::base {

[[nodiscard]] double exp(double x);
[[nodiscard]] double log(double x);
[[nodiscard]] double log1p(double x);
[[nodiscard]] double erf(double x);
[[nodiscard]] double erfc(double x);
[[nodiscard]] double atan2(double y, double x);
[[nodiscard]] double hypot(double x, double y);

}  // namespace twinkeeper::base
