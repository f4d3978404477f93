// Random plants of any size for benches: stable, every state limited, with the noise of a kind.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <random>
#include <string>

#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::bench {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

enum class Noise { independent, correlated, innovations };

inline MatrixXd random_matrix(std::mt19937_64& engine, Index rows, Index columns) {
  std::normal_distribution<double> normal;
  return MatrixXd::NullaryExpr(rows, columns, [&] { return normal(engine); });
}

inline model::StateSpace random_model(std::mt19937_64& engine, Index n, Index m, Index p, Noise noise) {
  model::StateSpace space;
  space.sample_time = 0.1;
  space.A = random_matrix(engine, n, n);
  space.A *= 0.97 / model::spectral_radius(space.A);
  space.B = random_matrix(engine, n, m);
  space.C = random_matrix(engine, p, n);
  space.D = MatrixXd::Zero(p, m);
  const MatrixXd root = random_matrix(engine, n + p, n + p);
  const MatrixXd joint = root * root.transpose();
  space.Q = joint.topLeftCorner(n, n);
  space.R = MatrixXd::Identity(p, p) * 0.5;
  space.S = MatrixXd::Zero(n, p);
  if (noise != Noise::independent) {
    space.R = joint.bottomRightCorner(p, p);
    space.S = joint.topRightCorner(n, p);
  }
  space.d = VectorXd::Zero(n);
  space.x_op = VectorXd::Zero(n);
  space.u_op = VectorXd::Zero(m);
  space.y_op = VectorXd::Zero(p);
  space.initial = VectorXd::Zero(n);
  space.noise_std.assign(static_cast<std::size_t>(p), std::numeric_limits<double>::quiet_NaN());
  space.resolution = space.noise_std;
  for (Index i = 0; i < n; ++i) space.states.push_back({"x" + std::to_string(i + 1), "", {-1e6, 1e6}});
  for (Index i = 0; i < m; ++i) space.inputs.push_back({"u" + std::to_string(i + 1), "", {-10.0, 10.0}});
  for (Index i = 0; i < p; ++i) space.outputs.push_back({"y" + std::to_string(i + 1), "", {-1e9, 1e9}});
  if (noise == Noise::innovations) {
    const auto steady = model::steady_state(space).value();
    space.innovations_form_only = true;
    space.R = steady.Sigma;
    space.S = steady.K * steady.Sigma;
    space.Q = steady.K * steady.Sigma * steady.K.transpose();
  }
  return space;
}

}  // namespace twinkeeper::bench
