// Random models for properties that hold of any.
#pragma once

#include <Eigen/Core>
#include <random>
#include <string>

#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

inline Eigen::MatrixXd random_matrix(std::mt19937_64& engine, Eigen::Index rows, Eigen::Index columns) {
  std::normal_distribution<double> normal;
  return Eigen::MatrixXd::NullaryExpr(rows, columns, [&] { return normal(engine); });
}

// Any size, with the spectral radius that is given, full R and S ≠ 0.
inline StateSpace random_model(std::mt19937_64& engine, Eigen::Index n, Eigen::Index p, double radius) {
  StateSpace model;
  model.sample_time = 1.0;
  model.A = random_matrix(engine, n, n);
  model.A *= radius / spectral_radius(model.A);
  model.B = random_matrix(engine, n, 1);
  model.C = random_matrix(engine, p, n);
  model.D = Eigen::MatrixXd::Zero(p, 1);
  const Eigen::MatrixXd root = random_matrix(engine, n + p, n + p);
  const Eigen::MatrixXd joint = root * root.transpose() + 1e-3 * Eigen::MatrixXd::Identity(n + p, n + p);
  model.Q = joint.topLeftCorner(n, n);
  model.S = joint.topRightCorner(n, p);
  model.R = joint.bottomRightCorner(p, p);
  model.d = Eigen::VectorXd::Zero(n);
  model.inputs.push_back({"u1", "", {}});
  for (Eigen::Index i = 0; i < n; ++i) model.states.push_back({"x" + std::to_string(i + 1), "", {}});
  for (Eigen::Index i = 0; i < p; ++i) model.outputs.push_back({"y" + std::to_string(i + 1), "", {}});
  return model;
}

}  // namespace twinkeeper::model
