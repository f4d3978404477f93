#include "identification/fit_figures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/decompositions.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

Index rows_for_start(const Experiment& data) {
  return std::min<Index>(static_cast<Index>(kRowsForStart), data.count() / 3);
}

VectorXd start_of(const Experiment& data, const LinearModel& model) {
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  if (model.B.cols() == 0) return VectorXd::Zero(n);  // noise alone moves it: nothing to run freely from
  const Index rows = rows_for_start(data);
  MatrixXd slopes(rows * p, n);
  VectorXd errors(rows * p);
  MatrixXd moved = model.C;
  VectorXd x = VectorXd::Zero(n);
  for (Index k = 0; k < rows; ++k) {
    slopes.middleRows(k * p, p) = moved;
    errors.segment(k * p, p) = data.y.col(k) - model.o - model.C * x - model.D * data.u.col(k);
    moved = (moved * model.A).eval();
    x = model.A * x + model.B * data.u.col(k);
  }
  return least_squares(slopes, errors);
}

class FigureSums {
 public:
  explicit FigureSums(Index p)
      : squares_(VectorXd::Zero(p)),
        before_(VectorXd::Zero(p)),
        sum_(VectorXd::Zero(p)),
        spread_(VectorXd::Zero(p)),
        count_(VectorXd::Zero(p)) {}
  void add(Index i, double y, double expected, double earlier) {
    squares_(i) += (y - expected) * (y - expected);
    before_(i) += (y - earlier) * (y - earlier);
    sum_(i) += y;
    spread_(i) += y * y;
    count_(i) += 1.0;
  }
  [[nodiscard]] Figures result() const {
    const VectorXd around = spread_ - sum_.cwiseAbs2().cwiseQuotient(count_);
    Figures out;
    out.fit = 100.0 * (1.0 - squares_.cwiseQuotient(around).cwiseSqrt().array());
    out.persistence = 100.0 * (1.0 - before_.cwiseQuotient(around).cwiseSqrt().array());
    for (Index i = 0; i < around.size(); ++i) {
      if (!(around(i) > 1e-12 * spread_(i))) out.fit(i) = std::numeric_limits<double>::quiet_NaN();
    }
    return out;
  }

 private:
  VectorXd squares_, before_, sum_, spread_, count_;
};

bool is_missing(const Experiment& data, std::size_t& cell, Index i, Index k) {
  while (cell < data.missing.size() && data.missing[cell].second < k) ++cell;
  for (std::size_t c = cell; c < data.missing.size() && data.missing[c].second == k; ++c) {
    if (data.missing[c].first == i) return true;
  }
  return false;
}

}  // namespace

Figures simulated(const Experiments& experiments, const LinearModel& model) {
  FigureSums sums(model.C.rows());
  for (const auto& data : experiments) {
    VectorXd x = start_of(data, model);
    const Index from = rows_for_start(data);
    std::size_t cell = 0;
    VectorXd expected(model.C.rows());
    for (Index k = 0; k < data.count(); ++k) {
      expected.noalias() = model.o + model.C * x;
      expected.noalias() += model.D * data.u.col(k);
      for (Index i = 0; i < expected.size() && k >= from; ++i) {
        if (!is_missing(data, cell, i, k)) sums.add(i, data.y(i, k), expected(i), 0.0);
      }
      x = model.A * x + model.B * data.u.col(k);
    }
  }
  Figures out = sums.result();
  out.persistence.resize(0);
  return out;
}

Figures predicted(const Experiments& experiments, const LinearModel& model, Index horizon) {
  FigureSums sums(model.C.rows());
  for (const auto& data : experiments) {
    VectorXd x = start_of(data, model);  // x(k|k−1)
    const Index from = std::max(rows_for_start(data), horizon);
    std::vector<VectorXd> states;  // by tick
    for (Index k = 0; k < data.count(); ++k) {
      states.push_back(x);
      const VectorXd v = data.y.col(k) - model.o - model.C * x - model.D * data.u.col(k);
      x = model.A * x + model.B * data.u.col(k) + model.K * v;
    }
    std::size_t cell = 0;
    for (Index k = from; k < data.count(); ++k) {
      VectorXd ahead = states[static_cast<std::size_t>(k - horizon + 1)];
      for (Index j = k - horizon + 1; j < k; ++j) ahead = (model.A * ahead + model.B * data.u.col(j)).eval();
      const VectorXd expected = model.o + model.C * ahead + model.D * data.u.col(k);
      for (Index i = 0; i < expected.size(); ++i) {
        if (!is_missing(data, cell, i, k)) sums.add(i, data.y(i, k), expected(i), data.y(i, k - horizon));
      }
    }
  }
  return sums.result();
}

MatrixXd simulation_errors(const Experiments& experiments, const LinearModel& model) {
  MatrixXd out(model.C.rows(), ticks_in(experiments));
  Index at = 0;
  for (const auto& data : experiments) {
    VectorXd x = start_of(data, model);
    for (Index k = 0; k < data.count(); ++k, ++at) {
      out.col(at) = data.y.col(k) - model.o - model.C * x - model.D * data.u.col(k);
      x = model.A * x + model.B * data.u.col(k);
    }
  }
  return out;
}

MatrixXd innovations(const Experiments& experiments, const LinearModel& model) {
  MatrixXd out(model.C.rows(), ticks_in(experiments));
  Index at = 0;
  VectorXd v(model.C.rows());
  for (const auto& data : experiments) {
    VectorXd x = start_of(data, model);
    std::size_t cell = 0;
    for (Index k = 0; k < data.count(); ++k, ++at) {
      v = data.y.col(k) - model.o;
      v.noalias() -= model.C * x;
      v.noalias() -= model.D * data.u.col(k);
      for (; cell < data.missing.size() && data.missing[cell].second == k; ++cell) v(data.missing[cell].first) = 0.0;
      out.col(at) = v;
      x = model.A * x + model.B * data.u.col(k) + model.K * v;
    }
  }
  return out;
}

}  // namespace twinkeeper::identification
