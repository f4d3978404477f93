#include "identification/regression.hpp"

#include <algorithm>

#include "identification/decompositions.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

}  // namespace

Normal normal_equations(const Experiments& experiments, Index outputs, Index inputs, bool line) {
  constexpr Index kRowsAtOnce = 256;
  const Index m = experiments.front().u.rows();
  const Index p = experiments.front().y.rows();
  const Index lagged = outputs * p + (inputs + 1) * m;
  const Index width = lagged + (line ? 2 : 0);
  const auto last = static_cast<double>(std::max<Index>(ticks_in(experiments) - 1, 1));
  Index before = 0;  // ticks of the experiments so far
  Normal out{MatrixXd::Zero(width, width), MatrixXd::Zero(width, p), VectorXd::Zero(p)};
  MatrixXd rows(width, kRowsAtOnce);
  for (const auto& e : experiments) {
    Index from = std::max(outputs, inputs);
    while (from < e.count()) {
      const Index count = std::min(kRowsAtOnce, e.count() - from);
      for (Index k = 0; k < count; ++k) {
        auto column = rows.col(k);
        for (Index i = 0; i < outputs; ++i) column.segment(i * p, p) = e.y.col(from + k - i - 1);
        for (Index i = 0; i <= inputs; ++i) column.segment(outputs * p + i * m, m) = e.u.col(from + k - i);
        if (line) column.tail(2) << 1.0, 2.0 * static_cast<double>(before + from + k) / last - 1.0;
      }
      out.G.selfadjointView<Eigen::Lower>().rankUpdate(rows.leftCols(count));
      out.right.noalias() += rows.leftCols(count) * e.y.middleCols(from, count).transpose();
      out.squares += e.y.middleCols(from, count).rowwise().squaredNorm();
      out.count += static_cast<double>(count);
      from += count;
    }
    before += e.count();
  }
  out.G.triangularView<Eigen::StrictlyUpper>() = out.G.transpose().triangularView<Eigen::StrictlyUpper>();
  out.G.diagonal().array() += 1e-10 * std::max(out.G.diagonal().maxCoeff(), 1e-300);
  return out;
}

Regression arx(const Experiments& experiments, Index order, double cap) {
  const Index p = experiments.front().y.rows();
  const Normal normal = normal_equations(experiments, order, order);
  const MatrixXd found = solve_symmetric(normal.G, normal.right).transpose();
  return observer_form(found.leftCols(order * p), found.rightCols(found.cols() - order * p), order, cap);
}

Regression observer_form(const MatrixXd& of_outputs, const MatrixXd& of_inputs, Index order, double cap) {
  const Index p = of_outputs.rows();
  const Index m = of_inputs.cols() / (order + 1);
  Regression out;
  LinearModel& model = out.model;
  model.A = MatrixXd::Zero(order * p, order * p);
  for (Index i = 0; i < order; ++i) model.A.block(i * p, 0, p, p) = of_outputs.middleCols(i * p, p);
  if (order > 1) model.A.topRightCorner((order - 1) * p, (order - 1) * p).setIdentity();
  out.radius = model::spectral_radius(model.A);
  if (out.radius > cap) {
    double factor = 1.0;
    for (Index i = 0; i < order; ++i) {
      factor *= cap / out.radius;
      model.A.block(i * p, 0, p, p) *= factor;
    }
  }
  model.K = model.A.leftCols(p);
  model.C = MatrixXd::Zero(p, order * p);
  model.C.leftCols(p).setIdentity();
  model.D = of_inputs.leftCols(m);
  model.B = MatrixXd::Zero(order * p, m);
  for (Index i = 0; i < order; ++i) model.B.middleRows(i * p, p) = of_inputs.middleCols((i + 1) * m, m);
  model.B += model.K * model.D;
  model.o = VectorXd::Zero(p);
  return out;
}

Index lags_of_reference(const Experiments& experiments) {
  const Index signals = experiments.front().u.rows() + experiments.front().y.rows();
  Index lags = 10;
  while (lags > 1 && 10 * lags * signals > ticks_in(experiments)) lags /= 2;
  return lags;
}

LinearModel reference_of_lags(const Experiments& experiments, double cap) {
  return arx(experiments, lags_of_reference(experiments), cap).model;
}

}  // namespace twinkeeper::identification
