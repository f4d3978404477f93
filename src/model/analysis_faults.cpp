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
constexpr double kCollinear = 0.95;  // |cos| above which two courses count as one

}  // namespace

std::vector<FaultSignature> fault_signatures(const StateSpace& model, const SteadyState& steady,
                                             const std::vector<Index>& measured) {
  const Index n = model.n_x();
  const auto p = static_cast<Index>(measured.size());
  std::vector<FaultSignature> faults;
  MatrixXd C(p, n);
  MatrixXd D(p, model.n_u());
  for (Index i = 0; i < p; ++i) {
    C.row(i) = model.C.row(measured[static_cast<std::size_t>(i)]);
    D.row(i) = model.D.row(measured[static_cast<std::size_t>(i)]);
  }
  const MatrixXd F = model.A - steady.K * C;
  // Settled error of the prediction per unit of disturbance, and what it is made of before anything cancels.
  const MatrixXd error = (MatrixXd::Identity(n, n) - F).inverse();
  const MatrixXd shown = C * error;
  const MatrixXd most = C.cwiseAbs() * error.cwiseAbs();

  const Eigen::LLT<MatrixXd> factor(steady.Sigma);
  const MatrixXd whitening = p > 0 ? MatrixXd(factor.matrixL().solve(MatrixXd::Identity(p, p))) : MatrixXd(0, 0);
  // b: what of the fault goes into the state's equation, c: into the outputs.
  const auto add = [&](std::string name, const VectorXd& b, const VectorXd& c, bool grows) {
    const VectorXd drive = b - steady.K * c;
    FaultSignature fault{std::move(name), whitening * (shown * drive + c), MatrixXd(p, kFaultSteps), false};
    VectorXd e = VectorXd::Zero(n);
    for (Index k = 0; k < kFaultSteps; ++k) {
      const double size = grows ? static_cast<double>(k) : 1.0;
      fault.course.col(k) = whitening * (C * e + size * c);
      e = (F * e + size * drive).eval();
    }
    if (grows) {
      fault.innovation = fault.course.col(kFaultSteps - 1);
      fault.visible = fault.innovation.norm() > kVisible * fault.course.norm();
    } else {
      const VectorXd terms = most * (b.cwiseAbs() + steady.K.cwiseAbs() * c.cwiseAbs()) + c.cwiseAbs();
      fault.visible = fault.innovation.norm() > kVisible * (whitening.cwiseAbs() * terms).norm();
    }
    faults.push_back(std::move(fault));
  };
  const auto add_sensors = [&](const char* kind, bool grows) {
    for (Index i = 0; i < p; ++i) {
      const auto output = static_cast<std::size_t>(measured[static_cast<std::size_t>(i)]);
      add(model.outputs[output].name + kind, VectorXd::Zero(n), VectorXd::Unit(p, i), grows);
    }
  };
  add_sensors(".bias", false);
  for (Index j = 0; j < model.n_u(); ++j) {
    add(model.inputs[static_cast<std::size_t>(j)].name + ".fault", model.B.col(j), D.col(j), false);
  }
  for (Index s = 0; s < model.n_own(); ++s) {
    add(model.states[static_cast<std::size_t>(s)].name + ".disturbance", VectorXd::Unit(n, s), VectorXd::Zero(p),
        false);
  }
  for (const ParameterEffect& parameter : parameter_effects(model)) {
    VectorXd c(p);
    for (Index i = 0; i < p; ++i) c(i) = parameter.c(measured[static_cast<std::size_t>(i)]);
    add(parameter.name + ".change", parameter.b, c, false);
  }
  add_sensors(".drift", true);
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
      const MatrixXd& here = faults[reached[next]].course;
      for (std::size_t other = 0; other < faults.size(); ++other) {
        if (member[other] || !faults[other].visible) continue;
        const MatrixXd& there = faults[other].course;
        if (!(std::abs(here.cwiseProduct(there).sum()) > kCollinear * here.norm() * there.norm())) continue;
        member[other] = true;
        reached.push_back(other);
      }
    }
    std::vector<std::string> names;
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < faults.size(); ++i) {
      if (!member[i]) continue;
      placed[i] = true;
      names.push_back(faults[i].name);
      positions.push_back(i);
    }
    if (names.size() < 2) continue;
    result.groups.push_back(std::move(names));
    result.members.push_back(std::move(positions));
  }
  return result;
}

}  // namespace twinkeeper::model
