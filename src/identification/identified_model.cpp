#include "identification/identified_model.hpp"

#include <string>

namespace twinkeeper::identification {
namespace {

model::Rows rows_of(const Eigen::MatrixXd& matrix) {
  model::Rows rows;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    rows.emplace_back();
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) rows.back().push_back(matrix(i, j));
  }
  return rows;
}

}  // namespace

void take_matrices(const Identified& found, model::ModelSettings& model) {
  model.states.clear();
  for (Eigen::Index i = 0; i < found.A.rows(); ++i) model.states.emplace_back().name = "x" + std::to_string(i + 1);
  model.A = rows_of(found.A);
  model.C = rows_of(found.C);
  if (!model.inputs.empty()) {
    model.B = rows_of(found.B);
    model.D = rows_of(found.D);
  }
  model.noise = {rows_of(found.Q), rows_of(found.R), rows_of(found.S), rows_of(found.K), rows_of(found.Ry)};
  model.operating_point.x.assign(static_cast<std::size_t>(found.A.rows()), 0.0);
  model.operating_point.u.assign(found.u_op.begin(), found.u_op.end());
  model.operating_point.y.assign(found.y_op.begin(), found.y_op.end());
}

}  // namespace twinkeeper::identification
