// A linear model as sections of first or second order side by side, with what identification fits in it.
//
//   x(k+1) = A x(k) + B v(k)        A = diag of [μ r; κ/r μ], the last one [μ] where n is odd
//   ŷ(k)   = C x(k) + D v_f(k) + o  v_f: the first inputs, which an output shows at once
//
//   symbol  shape    meaning
//   μ, κ    section  poles μ ± √κ: two real ones, a double one or a pair, without a break in between
//   r       section  √|κ| when the section was made, or 1 − |μ|: keeps both states of one size; constant
//   B C D o …        as usual; o is what the operating point of y is off
//
// Every A without defective poles is similar to this one, so it costs no generality, and A costs n numbers, not n².
// Thread rule: plain values, pure functions. Source: modal form, Kailath, Linear Systems (1980).
#pragma once

#include <Eigen/Core>

namespace twinkeeper::identification {

struct LinearModel {  // of scaled deviations
  Eigen::MatrixXd A, B, C, D;
  Eigen::MatrixXd K;  // predictor gain, empty: none
  Eigen::VectorXd o;  // offset of ŷ
};

struct Sections {
  Eigen::Index n = 0;
  Eigen::VectorXd mean, square, ratio;  // μ, κ, r by section
  Eigen::MatrixXd B, C, D;
  Eigen::VectorXd offset;

  [[nodiscard]] Eigen::Index count() const { return mean.size(); }
  [[nodiscard]] bool single(Eigen::Index section) const { return 2 * section + 1 == n; }
  // No pole of larger magnitude is left.
  void cap(double magnitude);
  [[nodiscard]] double radius() const;
};

// With B = 0, D = 0 and o = 0; poles beyond `cap` are brought back to it.
[[nodiscard]] Sections sections_of(const Eigen::MatrixXd& A, const Eigen::MatrixXd& C, Eigen::Index inputs,
                                   Eigen::Index fed_through, double cap);
[[nodiscard]] LinearModel matrices_of(const Sections& sections);
// Of sections that predict: their inputs are u and then y, of which u is fed through. A = Ã + K C, B = B̃ + K D.
[[nodiscard]] LinearModel model_of_predictor(const Sections& sections);

}  // namespace twinkeeper::identification
