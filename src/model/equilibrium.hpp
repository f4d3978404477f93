// Where a template's equations come to rest.
#pragma once

#include <Eigen/Core>
#include <optional>

#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {

// x with f(x, u) = 0, by Newton's method from `guess`, each step halved until the equations are better fulfilled.
// Nothing where none is found.
[[nodiscard]] std::optional<Eigen::VectorXd> equilibrium(const Dynamics& dynamics, const Eigen::VectorXd& u,
                                                         const Eigen::VectorXd& guess);

}  // namespace twinkeeper::model
