#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <cmath>

#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kVisible = 1e-6;
constexpr double kCollinear = 0.99;  // |cos| from which on two directions count as one

}  // namespace

std::vector<FaultSignature> fault_signatures(const StateSpace& model, const SteadyState& steady,
                                             const std::vector<Index>& measured) {
  const Index n = model.n_x();
  const auto p = static_cast<Index>(measured.size());
  std::vector<FaultSignature> faults;
  MatrixXd C(p, n);
  for (Index i = 0; i < p; ++i) C.row(i) = model.C.row(measured[static_cast<std::size_t>(i)]);
  // Settled error of the prediction per unit of disturbance, and what it is made of before anything cancels.
  const MatrixXd error = (MatrixXd::Identity(n, n) - model.A + steady.K * C).inverse();
  const MatrixXd disturbance = C * error;
  const MatrixXd most_disturbance = C.cwiseAbs() * error.cwiseAbs();
  const MatrixXd bias = MatrixXd::Identity(p, p) - disturbance * steady.K;
  const MatrixXd most_bias = MatrixXd::Identity(p, p) + most_disturbance * steady.K.cwiseAbs();

  const Eigen::LLT<MatrixXd> factor(steady.Sigma);
  const MatrixXd whitening = p > 0 ? MatrixXd(factor.matrixL().solve(MatrixXd::Identity(p, p))) : MatrixXd(0, 0);
  const auto add = [&](std::string name, const VectorXd& innovation, const VectorXd& most) {
    FaultSignature fault{std::move(name), whitening * innovation, false};
    fault.visible = fault.innovation.norm() > kVisible * (whitening.cwiseAbs() * most).norm();
    faults.push_back(std::move(fault));
  };
  for (Index i = 0; i < p; ++i) {
    const auto output = static_cast<std::size_t>(measured[static_cast<std::size_t>(i)]);
    add(model.outputs[output].name + ".bias", bias.col(i), most_bias.col(i));
  }
  for (Index j = 0; j < n; ++j) {
    add(model.states[static_cast<std::size_t>(j)].name + ".disturbance", disturbance.col(j), most_disturbance.col(j));
  }
  return faults;
}

Ambiguity ambiguity(const std::vector<FaultSignature>& faults) {
  Ambiguity result;
  std::vector<bool> placed(faults.size(), false);
  for (std::size_t first = 0; first < faults.size(); ++first) {
    if (placed[first]) continue;
    if (!faults[first].visible) {
      result.undetectable.push_back(faults[first].name);
      continue;
    }
    // Everything that can be reached from the first one; names stay in the order of the faults.
    std::vector<std::size_t> reached{first};
    std::vector<bool> member(faults.size(), false);
    member[first] = true;
    for (std::size_t next = 0; next < reached.size(); ++next) {
      const VectorXd& here = faults[reached[next]].innovation;
      for (std::size_t other = 0; other < faults.size(); ++other) {
        if (member[other] || !faults[other].visible) continue;
        const VectorXd& there = faults[other].innovation;
        if (std::abs(here.dot(there)) < kCollinear * here.norm() * there.norm()) continue;
        member[other] = true;
        reached.push_back(other);
      }
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < faults.size(); ++i) {
      if (!member[i]) continue;
      placed[i] = true;
      names.push_back(faults[i].name);
    }
    if (names.size() > 1) result.groups.push_back(std::move(names));
  }
  return result;
}

}  // namespace twinkeeper::model
