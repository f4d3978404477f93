#include "twinkeeper/model/augmentation.hpp"

#include <Eigen/SVD>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "model/augment.hpp"
#include "model/augmented_dynamics.hpp"
#include "twinkeeper/model/discretise.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kAugmentedRankTolerance = 1e-9;  // of singular values, relative to the largest
constexpr double kWorstTolerance = 1e-6;          // where A − I has lost digits
constexpr double kPart = 1e-6;  // a state takes part in a direction with at least this of its largest part
constexpr double kUnlimited = std::numeric_limits<double>::infinity();
constexpr double kRounding = std::numeric_limits<double>::epsilon();

template <class List>
std::size_t index_of(const List& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& item) { return item.name == name; });
  return static_cast<std::size_t>(found - list.begin());
}

double usual_deviation(const AugmentedState& state) {
  constexpr double kDay = 86400.0;
  const double density = state.noise_density * state.noise_density;
  if (state.rate > 0.0) return std::max(state.initial_std, std::sqrt(0.5 * density / state.rate));
  return std::sqrt(state.initial_std * state.initial_std + density * kDay);
}

AugmentedState described(const AugmentSettings& in, const StateSpace& model) {
  AugmentedState out;
  out.kind = in.kind;
  switch (in.kind) {
    case AugmentKind::sensor_bias:
      out.of = in.output;
      out.at = index_of(model.outputs, in.output);
      break;
    case AugmentKind::input_disturbance:
      out.of = in.input;
      out.at = index_of(model.inputs, in.input);
      break;
    case AugmentKind::parameter:
      out.of = in.name;
      out.at = index_of(model.dynamics->parameter_infos(), in.name);
      out.mean = model.dynamics->parameters()[out.at];
      break;
  }
  if (in.time_constant) out.rate = 1.0 / std::chrono::duration<double>(*in.time_constant).count();
  out.noise_density = in.std ? *in.std * std::sqrt(2.0 * out.rate) : *in.noise_density;
  out.initial = *in.initial;
  out.initial_std = *in.initial_std;
  out.deviation_limit = in.deviation_limit.value_or(3.0 * usual_deviation(out));
  return out;
}

const std::string& unit_of(const AugmentedState& state, const StateSpace& model) {
  switch (state.kind) {
    case AugmentKind::sensor_bias: return model.outputs[state.at].unit;
    case AugmentKind::input_disturbance: return model.inputs[state.at].unit;
    case AugmentKind::parameter: break;
  }
  return model.dynamics->parameter_infos()[state.at].unit;
}

// `matrix` in the top left corner, zeros elsewhere.
MatrixXd grown(const MatrixXd& matrix, Index rows, Index columns) {
  MatrixXd out = MatrixXd::Zero(rows, columns);
  out.topLeftCorner(matrix.rows(), matrix.cols()) = matrix;
  return out;
}

void scale_rows(MatrixXd& matrix) {
  for (Index i = 0; i < matrix.rows(); ++i) {
    const double most = matrix.row(i).cwiseAbs().maxCoeff();
    if (most > 0.0) matrix.row(i) /= std::sqrt(most);
  }
}

// Rows and columns of like size. The null space is that of the given matrix but for the size of its elements, none of
// which becomes zero.
void equilibrate(MatrixXd& matrix) {
  constexpr int kSweeps = 30;
  for (int i = 0; i < kSweeps; ++i) {
    scale_rows(matrix);
    matrix.transposeInPlace();
    scale_rows(matrix);
    matrix.transposeInPlace();
  }
}

struct Pencil {
  MatrixXd rows;
  std::vector<Index> measured;
  double tolerance = kAugmentedRankTolerance;
};

// Slopes of a parameter are differences: what they lose in digits, where the operating point balances much larger
// terms, is nothing that it does.
void drop_rounding(const StateSpace& model, const AugmentedState& parameter, Index column, Pencil& pencil) {
  const double usual = std::max(std::abs(parameter.mean), std::abs(parameter.initial));
  const double size = usual > 0.0 ? usual : parameter.initial_std;
  const Index n = model.n_own();
  const VectorXd x = model.x_op.head(n).cwiseAbs();
  for (Index i = 0; i < pencil.rows.rows(); ++i) {
    const MatrixXd& of_inputs = i < n ? model.B : model.D;
    const Index row = i < n ? i : pencil.measured[static_cast<std::size_t>(i - n)];
    const double terms = pencil.rows.row(i).head(n).cwiseAbs().transpose().dot(x) +
                         of_inputs.row(row).cwiseAbs().transpose().dot(model.u_op.cwiseAbs());
    double& slope = pencil.rows(i, column);
    if (std::abs(slope) * size <= kAugmentedRankTolerance * terms) slope = 0.0;
  }
}

// [A − I; C] of some states. The digits that A − I loses where a model moves little in a step set the tolerance.
Pencil pencil_of(const StateSpace& model, const std::vector<Index>& measured, const std::vector<Index>& columns) {
  const Index n = model.n_own();
  Pencil out;
  out.measured = measured;
  out.rows.resize(n + static_cast<Index>(measured.size()), static_cast<Index>(columns.size()));
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const auto at = static_cast<Index>(j);
    out.rows.col(at).head(n) = model.A.col(columns[j]).head(n);
    if (columns[j] < n) out.rows(columns[j], at) -= 1.0;
    for (std::size_t i = 0; i < measured.size(); ++i) {
      out.rows(n + static_cast<Index>(i), at) = model.C(measured[i], columns[j]);
    }
  }
  for (Index i = 0; i < n; ++i) {
    const double rounding = kRounding * std::max(1.0, std::abs(model.A(i, i)));
    if (std::abs(out.rows(i, i)) <= 4.0 * rounding) out.rows(i, i) = 0.0;
    const double size = out.rows.row(i).head(n).cwiseAbs().maxCoeff();
    if (size > 0.0) out.tolerance = std::max(out.tolerance, 64.0 * rounding / size);
  }
  for (std::size_t j = static_cast<std::size_t>(n); j < columns.size(); ++j) {
    const AugmentedState& state = model.augmented[static_cast<std::size_t>(columns[j] - n)];
    if (state.kind == AugmentKind::parameter) drop_rounding(model, state, static_cast<Index>(j), out);
  }
  out.tolerance = std::min(out.tolerance, kWorstTolerance);
  return out;
}

// Orthonormal basis of the directions that the rows do not show, after equilibration.
MatrixXd null_space(Pencil pencil) {
  MatrixXd& rows = pencil.rows;
  equilibrate(rows);
  const Index n = rows.cols();
  if (rows.rows() < n) rows = grown(rows, n, n);
  const Eigen::JacobiSVD<MatrixXd> svd(rows, Eigen::ComputeFullV);
  const auto& values = svd.singularValues();
  const Index rank = (values.array() > pencil.tolerance * values(0)).count();
  return svd.matrixV().rightCols(n - rank);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
  }
  return names.size() > 1 ? text + " together" : text;
}

}  // namespace

void augment(StateSpace& model, const std::vector<AugmentSettings>& settings, bool continuous) {
  if (settings.empty()) return;
  const Index n = model.n_x();
  const auto more = static_cast<Index>(settings.size());
  model.A = grown(model.A, n + more, n + more);
  model.B = grown(model.B, n + more, model.n_u());
  model.C = grown(model.C, model.n_y(), n + more);
  model.Q = grown(model.Q, n + more, n + more);
  model.S = grown(model.S, n + more, model.n_y());
  model.d = grown(model.d, n + more, 1);
  model.x_op = grown(model.x_op, n + more, 1);
  for (std::size_t k = 0; k < settings.size(); ++k) {
    const AugmentedState state = described(settings[k], model);
    const Index i = n + static_cast<Index>(k);
    const auto at = static_cast<Index>(state.at);
    const double density = state.noise_density * state.noise_density;
    if (continuous) {
      model.A(i, i) = -state.rate;
      model.Q(i, i) = density;
    } else {
      const auto alone = [](double value) { return MatrixXd(MatrixXd::Constant(1, 1, value)); };
      const Discretised step =
          discretise(alone(-state.rate), alone(0.0), alone(density), VectorXd::Zero(1), model.sample_time);
      model.A(i, i) = step.A(0, 0);
      model.Q(i, i) = step.Q(0, 0);
    }
    if (state.kind == AugmentKind::sensor_bias) model.C(at, i) = 1.0;
    if (state.kind == AugmentKind::input_disturbance) {
      model.A.col(i).head(n) = model.B.col(at).head(n);
      model.C.col(i) = model.D.col(at);
    }
    model.x_op(i) = state.mean;
    model.states.push_back({augmented_name(settings[k]),
                            unit_of(state, model),
                            {settings[k].min.value_or(-kUnlimited), settings[k].max.value_or(kUnlimited)}});
    model.augmented.push_back(state);
  }
  if (!model.dynamics) return;
  model.dynamics = std::make_shared<AugmentedDynamics>(model.dynamics->clone(), model.augmented,
                                                       std::vector(model.states.begin() + n, model.states.end()));
  if (model.dynamics->linear()) return;
  // What a parameter does at the operating point is known to the equations alone.
  model.dynamics->evaluate(model.x_op, model.u_op, model.d, model.A, model.B);
  model.dynamics->observe(model.x_op, model.u_op, model.y_op, model.C, model.D);
}

void augment_initial(StateSpace& model) {
  const Index n = model.n_own();
  if (model.initial) model.initial->conservativeResize(model.n_x());
  if (model.initial_std) model.initial_std->conservativeResize(model.n_x());
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    const Index i = n + static_cast<Index>(k);
    if (model.initial) (*model.initial)(i) = model.augmented[k].initial;
    if (model.initial_std) (*model.initial_std)(i) = model.augmented[k].initial_std;
  }
}

base::Issues indistinguishable(const StateSpace& model) {
  std::vector<Index> all(static_cast<std::size_t>(model.n_y()));
  std::iota(all.begin(), all.end(), Index{0});
  return indistinguishable(model, all);
}

base::Issues indistinguishable(const StateSpace& model, const std::vector<std::ptrdiff_t>& measured) {
  base::Issues issues;
  if (model.augmented.empty()) return issues;
  const Index n = model.n_own();
  std::vector<Index> columns(static_cast<std::size_t>(n));  // of the states that are told apart so far
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<Index>(i);
  const auto name = [&](Index state) { return model.states[static_cast<std::size_t>(state)].name; };
  const Index unseen = null_space(pencil_of(model, measured, columns)).cols();
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    if (model.augmented[k].rate > 0.0) continue;
    const Index candidate = n + static_cast<Index>(k);
    columns.push_back(candidate);
    const Pencil pencil = pencil_of(model, measured, columns);
    const MatrixXd basis = null_space(pencil);
    if (basis.cols() <= unseen) continue;
    // The direction with most of the candidate in it: nothing of those that were unseen before.
    const VectorXd direction = (basis * basis.row(basis.rows() - 1).transpose()).cwiseAbs();
    std::vector<std::string> others, own;
    for (std::size_t i = 0; i + 1 < columns.size(); ++i) {
      if (direction(static_cast<Index>(i)) <= kPart * direction.maxCoeff()) continue;
      (columns[i] < n ? own : others).push_back(name(columns[i]));
    }
    // States of the machine that only move with what moves them are no cause of their own.
    if (others.empty() && pencil.rows.col(pencil.rows.cols() - 1).head(n).isZero(0.0)) others = own;
    const bool parameter = model.augmented[k].kind == AugmentKind::parameter;
    issues.push_back(
        {"model.augment[" + std::to_string(k) + "]",
         name(candidate) + (others.empty() ? " leaves no lasting trace in a measured output" +
                                                 std::string(parameter ? " at the operating point" : "")
                                           : " cannot be told from " + joined(others)),
         std::string(parameter ? "an operating point that shows it, " : "") +
             "more measured outputs, fewer augmented states, or a time_constant, by which it goes back by itself"});
    columns.pop_back();
  }
  return issues;
}

StateSpace without_augmentation(const StateSpace& model) {
  if (model.augmented.empty()) return model;
  const Index n = model.n_own();
  StateSpace own = model;
  own.augmented.clear();
  own.dynamics = nullptr;
  own.W.resize(0, 0);
  own.states.resize(static_cast<std::size_t>(n));
  own.A = model.A.topLeftCorner(n, n);
  own.B = model.B.topRows(n);
  own.C = model.C.leftCols(n);
  own.Q = model.Q.topLeftCorner(n, n);
  own.S = model.S.topRows(n);
  own.d = model.d.head(n);
  own.x_op = model.x_op.head(n);
  if (model.B_late.size() != 0) own.B_late = model.B_late.topRows(n);
  if (model.foh()) own.hold_offset = model.hold_offset.topRows(n);
  if (model.initial) own.initial = model.initial->head(n);
  if (model.initial_std) own.initial_std = model.initial_std->head(n);
  return own;
}

}  // namespace twinkeeper::model
