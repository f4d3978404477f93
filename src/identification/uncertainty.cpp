#include "identification/uncertainty.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "identification/decompositions.hpp"
#include "identification/fit_figures.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kTakesPart = 1e-3;        // of a unit vector
constexpr Index kMostNumbers = 4'000'000;  // of J

// Variance of the sum of a series, by Bartlett's weights over as many lags as Andrews' rule has for a first-order
// autoregression like it.
double long_run_variance(const VectorXd& z) {
  const double squares = z.squaredNorm();
  const Index ticks = z.size();
  if (!(squares > 0.0) || ticks < 3) return squares;
  const double rho = std::clamp(z.head(ticks - 1).dot(z.tail(ticks - 1)) / squares, -0.97, 0.97);
  const double ratio = 2.0 * rho / ((1.0 - rho) * (1.0 + rho));
  const double alpha = ratio * ratio * static_cast<double>(ticks);
  const double wanted = alpha > 0.0 ? 1.1447 * base::exp(base::log(alpha) / 3.0) : 0.0;
  const auto lags = static_cast<Index>(std::min(wanted, static_cast<double>(ticks) / 4.0));
  double out = squares;
  for (Index l = 1; l <= lags; ++l) {
    const double weight = 1.0 - static_cast<double>(l) / static_cast<double>(lags + 1);
    out += 2.0 * weight * z.head(ticks - l).dot(z.tail(ticks - l));
  }
  return std::max(out, 0.0);
}

struct Directions {
  std::vector<Index> moves;  // the columns that are not zero
  VectorXd unit;             // 1 by their norm
  Svd of;                    // of H, scaled by it
};

Directions directions_of(const MatrixXd& slopes) {
  Directions out;
  const MatrixXd H = slopes.transpose() * slopes;
  for (Index i = 0; i < H.rows(); ++i) {
    if (H(i, i) > 0.0) out.moves.push_back(i);
  }
  if (out.moves.empty()) return out;
  out.unit = H.diagonal()(out.moves).cwiseSqrt().cwiseInverse();
  out.of = left_svd(out.unit.asDiagonal() * H(out.moves, out.moves) * out.unit.asDiagonal());
  return out;
}

}  // namespace

std::vector<std::vector<Index>> open_directions(const MatrixXd& slopes) {
  const Directions directions = directions_of(slopes);
  std::vector<std::vector<Index>> out;
  for (Index k = 0; k < directions.of.values.size(); ++k) {
    if (directions.of.values(k) > kOpen) continue;
    const VectorXd moved = directions.unit.cwiseProduct(directions.of.U.col(k)).normalized();
    std::vector<Index>& together = out.emplace_back();
    for (Index i = 0; i < moved.size(); ++i) {
      if (std::abs(moved(i)) > kTakesPart) together.push_back(directions.moves[static_cast<std::size_t>(i)]);
    }
  }
  return out;
}

VectorXd standard_deviations(const MatrixXd& slopes, const VectorXd& residuals, Index outputs, const MatrixXd& asked) {
  const Index ticks = slopes.rows() / outputs;
  VectorXd out = VectorXd::Zero(asked.rows());
  const Directions directions = directions_of(slopes);
  const std::vector<Index>& moves = directions.moves;
  const VectorXd& unit = directions.unit;
  const auto count = static_cast<Index>(moves.size());
  if (count == 0) return out;
  MatrixXd inverse = MatrixXd::Zero(count, count);
  for (Index k = 0; k < count; ++k) {
    const VectorXd direction = directions.of.U.col(k);
    if (directions.of.values(k) > kOpen) inverse += direction * direction.transpose() / directions.of.values(k);
  }
  const double freedom = static_cast<double>(ticks) / static_cast<double>(std::max<Index>(ticks - count, 1));
  const double mean_square = residuals.squaredNorm() / static_cast<double>(residuals.size());
  for (Index f = 0; f < asked.rows(); ++f) {
    const VectorXd g = asked.row(f)(moves).transpose();
    const VectorXd by_slope = unit.asDiagonal() * (inverse * (unit.asDiagonal() * g));
    VectorXd along = VectorXd::Zero(slopes.rows());
    for (Index i = 0; i < count; ++i) along += by_slope(i) * slopes.col(moves[static_cast<std::size_t>(i)]);
    along = along.cwiseProduct(residuals).eval();
    VectorXd z(ticks);
    for (Index k = 0; k < ticks; ++k) z(k) = along.segment(k * outputs, outputs).sum();
    const double white = mean_square * std::max(0.0, g.dot(by_slope));
    out(f) = std::sqrt(freedom * std::max(long_run_variance(z), white));
  }
  return out;
}

namespace {

MatrixXd gain_at_rest(const LinearModel& model) {
  const Index n = model.A.rows();
  return model.C * least_squares(MatrixXd::Identity(n, n) - model.A, model.B) + model.D;
}

std::vector<std::complex<double>> upper_poles(const MatrixXd& A) {
  const Eigen::VectorXcd values = modes_of(A).values;
  std::vector<std::complex<double>> out;
  for (const auto& value : values) {
    if (value.imag() >= 0.0) out.push_back(value);
  }
  return out;
}

double magnitude(const std::complex<double>& value) { return base::hypot(value.real(), value.imag()); }

double time_constant_of(const std::complex<double>& pole) {
  const double size = magnitude(pole);
  return size > 0.0 ? -1.0 / base::log(size) : 0.0;
}

double period_of(const std::complex<double>& pole) {
  constexpr double kTurn = 6.283185307179586;
  const double angle = base::atan2(pole.imag(), pole.real());
  return angle > 1e-9 ? kTurn / angle : std::numeric_limits<double>::infinity();
}

// What is asked of a model, and its slopes: gains, then time constants, then periods.
class Asked {
 public:
  Asked(const LinearModel& model, Index numbers)
      : gains_(model.B.cols() * model.C.rows()), outputs_(model.C.rows()), poles_(upper_poles(model.A)) {
    if (gains_ > 0) gain_ = gain_at_rest(model);
    slopes_ = MatrixXd::Zero(gains_ + 2 * pole_count(), numbers);
  }
  // `moved`: the model with its k-th number moved by so much.
  void move(Index k, const LinearModel& moved, double by) {
    if (gains_ > 0) {
      const MatrixXd gain = (gain_at_rest(moved) - gain_) / by;
      slopes_.col(k).head(gains_) = Eigen::Map<const VectorXd>(gain.data(), gains_);
    }
    const std::vector<std::complex<double>> others = upper_poles(moved.A);
    for (Index i = 0; i < pole_count(); ++i) {
      const auto& pole = poles_[static_cast<std::size_t>(i)];
      const auto nearest = std::min_element(others.begin(), others.end(), [&](const auto& a, const auto& b) {
        return magnitude(a - pole) < magnitude(b - pole);
      });
      slopes_(gains_ + i, k) = (time_constant_of(*nearest) - time_constant_of(pole)) / by;
      const double period = period_of(pole);
      if (std::isfinite(period)) slopes_(gains_ + pole_count() + i, k) = (period_of(*nearest) - period) / by;
    }
  }
  // `part`: of the record that J and r are of.
  [[nodiscard]] LinearUncertainty answer(const MatrixXd& J, const VectorXd& r, double part) const {
    LinearUncertainty out;
    const VectorXd std = standard_deviations(J, r, outputs_, slopes_) * std::sqrt(part);
    out.gain = gain_;
    if (gains_ > 0) out.gain_std = Eigen::Map<const MatrixXd>(std.data(), outputs_, gains_ / outputs_);
    for (Index i = 0; i < pole_count(); ++i) {
      const auto& pole = poles_[static_cast<std::size_t>(i)];
      out.poles.push_back({time_constant_of(pole), std(gains_ + i), period_of(pole), std(gains_ + pole_count() + i)});
    }
    std::stable_sort(out.poles.begin(), out.poles.end(),
                     [](const auto& a, const auto& b) { return a.time_constant > b.time_constant; });
    return out;
  }

 private:
  [[nodiscard]] Index pole_count() const { return static_cast<Index>(poles_.size()); }

  const Index gains_, outputs_;
  const std::vector<std::complex<double>> poles_;
  MatrixXd gain_, slopes_;
};

double step_for(double number) { return 1e-6 * std::max(std::abs(number), 1e-2); }

// Of a long record a part is enough to know how much each tick tells.
struct Part {
  Experiments experiments;
  double of_all = 1.0;
};
Part part_of(const Experiments& all, Index numbers, Index outputs) {
  const Index ticks = ticks_in(all);
  const Index most = kMostNumbers / (numbers * outputs);
  Part out{ticks > most ? slice(all, 0, most) : all, 1.0};
  out.of_all = static_cast<double>(ticks_in(out.experiments)) / static_cast<double>(ticks);
  return out;
}

VectorXd weight_of(const MatrixXd& errors) { return errors.rowwise().norm().cwiseMax(1e-12).cwiseInverse(); }

// What of a model was free: A first, then B and C, D where it has one, K where it was fitted with the rest.
std::vector<MatrixXd*> free_matrices(LinearModel& model, bool gain) {
  std::vector<MatrixXd*> out{&model.A, &model.B, &model.C};
  if (model.D.squaredNorm() > 0.0) out.push_back(&model.D);
  if (gain) out.push_back(&model.K);
  return out;
}

double& number_of(LinearModel& model, bool gain, Index number) {
  for (MatrixXd* matrix : free_matrices(model, gain)) {
    if (number < matrix->size()) return matrix->data()[number];
    number -= matrix->size();
  }
  std::abort();
}

// A number of a model of lags: that of signal j, `lag` ticks before, in the equation of output i.
struct LagNumber {
  bool of_input;
  Index lag, i, j;
};

std::vector<LagNumber> numbers_of_lags(const LinearModel& model, const std::vector<bool>& walks) {
  const Index p = model.C.rows();
  const Index lags = model.A.rows() / p;
  std::vector<LagNumber> out;
  for (Index i = 0; i < p; ++i) {
    if (walks[static_cast<std::size_t>(i)]) continue;
    for (Index lag = 1; lag <= lags; ++lag) {
      for (Index j = 0; j < p; ++j) {
        if (model.A((lag - 1) * p + i, j) != 0.0) out.push_back({false, lag, i, j});
      }
    }
    for (Index lag = 0; lag <= lags; ++lag) {
      for (Index j = 0; j < model.B.cols(); ++j) out.push_back({true, lag, i, j});
    }
  }
  return out;
}

// B of the observer form has what D adds through K.
LinearModel with_moved(LinearModel model, const LagNumber& number, double by) {
  const Index p = model.C.rows();
  const auto& [of_input, lag, i, j] = number;
  if (!of_input) {
    model.A((lag - 1) * p + i, j) += by;
    model.B.row((lag - 1) * p + i) += by * model.D.row(j);
  } else if (lag > 0) {
    model.B((lag - 1) * p + i, j) += by;
  } else {
    model.D(i, j) += by;
    model.B.col(j) += by * model.K.col(i);
  }
  return model;
}

}  // namespace

LinearUncertainty linear_uncertainty(const Experiments& all, const LinearModel& model, bool one_step) {
  LinearModel moved = model;
  Index count = 0;
  for (const MatrixXd* matrix : free_matrices(moved, one_step)) count += matrix->size();
  if ((model.B.cols() == 0 && !one_step) || count > kMostUncertain) return {};
  const Part part = part_of(all, count, model.C.rows());
  if (part.experiments.empty()) return {};
  const auto errors = [&](const LinearModel& of) -> MatrixXd {
    return one_step ? innovations(part.experiments, of) : simulation_errors(part.experiments, of);
  };
  const MatrixXd found = errors(model);
  const VectorXd weight = weight_of(found);
  const MatrixXd weighted = weight.asDiagonal() * found;
  MatrixXd J(found.size(), count);
  Asked asked(model, count);
  for (Index k = 0; k < count; ++k) {
    double& number = number_of(moved, one_step, k);
    const double before = number;
    const double by = step_for(number);
    number += by;
    MatrixXd change = (weight.asDiagonal() * errors(moved) - weighted) / by;
    if (!change.allFinite()) change.setZero();
    J.col(k) = Eigen::Map<const VectorXd>(change.data(), change.size());
    asked.move(k, moved, by);
    number = before;
  }
  return asked.answer(J, Eigen::Map<const VectorXd>(weighted.data(), weighted.size()), part.of_all);
}

LinearUncertainty lag_uncertainty(const Experiments& all, const LinearModel& model, const std::vector<bool>& walks) {
  const Index p = model.C.rows();
  const Index lags = model.A.rows() / p;
  const std::vector<LagNumber> numbers = numbers_of_lags(model, walks);
  const auto count = static_cast<Index>(numbers.size());
  if (count == 0 || count > kMostUncertain) return {};
  const Part part = part_of(all, count, p);
  if (part.experiments.empty()) return {};
  const MatrixXd errors = innovations(part.experiments, model);
  const VectorXd weight = weight_of(errors);
  MatrixXd J = MatrixXd::Zero(errors.size(), count);
  VectorXd r = VectorXd::Zero(errors.size());
  Index at = 0;
  for (const Experiment& e : part.experiments) {
    for (Index k = 0; k < e.count(); ++k, ++at) {
      if (k < lags) continue;
      r.segment(at * p, p) = weight.cwiseProduct(errors.col(at));
      for (Index n = 0; n < count; ++n) {
        const LagNumber& number = numbers[static_cast<std::size_t>(n)];
        const MatrixXd& signals = number.of_input ? e.u : e.y;
        J(at * p + number.i, n) = -weight(number.i) * signals(number.j, k - number.lag);
      }
    }
  }
  Asked asked(model, count);
  for (Index n = 0; n < count; ++n) {
    const LagNumber& number = numbers[static_cast<std::size_t>(n)];
    const double by = step_for(number.of_input ? 1.0 : model.A((number.lag - 1) * p + number.i, number.j));
    asked.move(n, with_moved(model, number, by), by);
  }
  return asked.answer(J, r, part.of_all);
}

}  // namespace twinkeeper::identification
