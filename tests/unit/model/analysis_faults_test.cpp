// Which faults the innovations of the steady-state filter can tell apart.
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <random>

#include "random_models.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper::model;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

using Names = std::vector<std::string>;

std::vector<FaultSignature> signatures(const StateSpace& model, const std::vector<Index>& measured) {
  const auto steady = steady_state(model, measured);
  REQUIRE(steady.ok());
  return fault_signatures(model, steady.value(), measured);
}

Ambiguity ambiguity_of(const StateSpace& model, const std::vector<Index>& measured) {
  return ambiguity(signatures(model, measured));
}

// The plant with a fault against the filter: the innovations of each step. A bias grows by `growth` each step.
std::vector<VectorXd> innovations(const StateSpace& model, const MatrixXd& K, const VectorXd& disturbance,
                                  const VectorXd& bias, double growth, int steps) {
  VectorXd x = VectorXd::Zero(model.n_x());
  VectorXd x_hat = x;
  std::vector<VectorXd> all;
  for (int k = 0; k < steps; ++k) {
    all.push_back(model.C * x + (growth == 0.0 ? 1.0 : growth * k) * bias - model.C * x_hat);
    x_hat = (model.A * x_hat + K * all.back()).eval();
    x = (model.A * x + disturbance).eval();
  }
  return all;
}

}  // namespace

TEST_CASE("fault_signatures are what a run of plant and filter gives, at first and in the end") {
  std::mt19937_64 engine(11);
  for (int round = 0; round < 20; ++round) {
    const Index n = 1 + round % 5;
    const Index p = 1 + round % 3;
    const StateSpace model = random_model(engine, n, p, 0.9);
    const auto steady = steady_state(model);
    REQUIRE(steady.ok());
    std::vector<Index> all;
    for (Index i = 0; i < p; ++i) all.push_back(i);
    const auto faults = fault_signatures(model, steady.value(), all);
    REQUIRE(faults.size() == static_cast<std::size_t>(n + 2 * p + 1));
    const MatrixXd weight = steady.value().Sigma.inverse();
    const auto judge = [&](std::size_t which, const std::string& name, const VectorXd& b, const VectorXd& c,
                           double growth) {
      const FaultSignature& fault = faults[which];
      const auto run = innovations(model, steady.value().K, b, c, growth, 5000);
      CHECK(fault.name == name);
      // Whitening keeps νᵀ Σ⁻¹ ν, whatever root of Σ it takes.
      for (Index k = 0; k < kFaultSteps; ++k) {
        const VectorXd& nu = run[static_cast<std::size_t>(k)];
        CHECK(fault.course.col(k).squaredNorm() == Approx(nu.dot(weight * nu)).epsilon(1e-9).margin(1e-12));
      }
      const VectorXd& last = growth == 0.0 ? run.back() : run[static_cast<std::size_t>(kFaultSteps - 1)];
      CHECK(fault.innovation.squaredNorm() == Approx(last.dot(weight * last)).epsilon(1e-9));
    };
    std::size_t which = 0;
    const VectorXd no_b = VectorXd::Zero(n);
    const VectorXd no_c = VectorXd::Zero(p);
    const auto output = [](Index i) { return "y" + std::to_string(i + 1); };
    for (Index i = 0; i < p; ++i) judge(which++, output(i) + ".bias", no_b, VectorXd::Unit(p, i), 0.0);
    judge(which++, "u1.fault", model.B.col(0), no_c, 0.0);
    for (Index s = 0; s < n; ++s) {
      judge(which++, "x" + std::to_string(s + 1) + ".disturbance", VectorXd::Unit(n, s), no_c, 0.0);
    }
    for (Index i = 0; i < p; ++i) judge(which++, output(i) + ".drift", no_b, VectorXd::Unit(p, i), 1.0);
  }
}

TEST_CASE("ambiguity of two tanks is what drains or fills each of them against its sensor that drifts") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {0, 1});
  CHECK(found.groups == std::vector<Names>{{"pump.fault", "level_1.disturbance", "level_1.drift"},
                                           {"level_2.disturbance", "level_2.drift"}});
  CHECK(found.members == std::vector<std::vector<std::size_t>>{{2, 3, 5}, {4, 6}});
  CHECK(found.undetectable.empty());
}

TEST_CASE("ambiguity with one measured output, the last tank's, is what comes at once against what comes in time") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {1});
  CHECK(found.groups ==
        std::vector<Names>{{"pump.fault", "level_1.disturbance"}, {"level_2.disturbance", "level_2.drift"}});
  CHECK(found.undetectable.empty());
}

TEST_CASE("ambiguity names a disturbance that no measured output shows as undetectable") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {0});
  CHECK(found.groups == std::vector<Names>{{"pump.fault", "level_1.disturbance", "level_1.drift"}});
  CHECK(found.undetectable == Names{"level_2.disturbance"});
}

TEST_CASE("ambiguity names the bias of an integrating state's only sensor as undetectable") {
  ModelSettings s = two_tank_settings();
  s.A = {{1.0, 0.0}, {0.02, 0.97}};  // the first tank has no outlet of its own
  const Ambiguity found = ambiguity_of(built(s), {0});
  CHECK(found.undetectable == Names{"level_1.bias", "level_2.disturbance"});
  CHECK(found.groups == std::vector<Names>{{"pump.fault", "level_1.disturbance", "level_1.drift"}});

  s.A[0][0] = 1.0 - 1e-4;  // a slow leak already gives it away, in the long run
  CHECK(ambiguity_of(built(s), {0}).undetectable == Names{"level_2.disturbance"});
}

TEST_CASE("ambiguity of two sensors of one state is which of them is wrong, and a third one decides") {
  ModelSettings s = two_tank_settings();
  s.outputs.push_back({"second", "m", {}, 0.002, {}});
  s.outputs.push_back({"third", "m", {}, 0.002, {}});
  s.C = {{1.0, 0.0}, {0.0, 1.0}, {0.0, 1.0}, {0.0, 1.0}};
  const StateSpace model = built(s);
  const auto together = [&](const std::vector<Index>& measured) {
    for (const Names& group : ambiguity_of(model, measured).groups) {
      const auto has = [&](const char* name) { return std::find(group.begin(), group.end(), name) != group.end(); };
      if (has("level_2.drift") && has("second.drift")) return true;
    }
    return false;
  };
  // They part, which no leak brings about, but neither has a witness.
  CHECK(together({0, 1, 2}));
  CHECK_FALSE(together({0, 1, 2, 3}));
}

TEST_CASE("ambiguity does not depend on units or on outputs that are not measured") {
  std::mt19937_64 engine(12);
  for (int round = 0; round < 20; ++round) {
    StateSpace model = random_model(engine, 4, 3, 0.9);
    // Two faults that cannot be told apart: the fourth state moves the first two outputs as the third does.
    model.A.setZero();
    model.A.diagonal() << 0.9, 0.8, 0.7, 0.7;
    model.A(0, 2) = 0.1;
    model.A(0, 3) = 0.1;
    const VectorXd same = model.C.col(2);
    model.C.col(3) = same;
    const Ambiguity before = ambiguity_of(model, {0, 1});
    REQUIRE_FALSE(before.groups.empty());

    StateSpace other = model;
    const VectorXd t = VectorXd(random_matrix(engine, 4, 1).array().exp() * 1e3);
    const VectorXd r = VectorXd(random_matrix(engine, 3, 1).array().exp() * 1e-4);
    other.A = t.asDiagonal() * model.A * t.cwiseInverse().asDiagonal();
    other.C = r.asDiagonal() * model.C * t.cwiseInverse().asDiagonal();
    other.Q = t.asDiagonal() * model.Q * t.asDiagonal();
    other.B = t.asDiagonal() * model.B;
    other.S = t.asDiagonal() * model.S * r.asDiagonal();
    other.R = r.asDiagonal() * model.R * r.asDiagonal();
    other.C.row(2).setRandom();
    const Ambiguity after = ambiguity_of(other, {0, 1});
    CHECK(after.groups == before.groups);
    CHECK(after.undetectable == before.undetectable);
  }
}

TEST_CASE("a model without any measured output has a free covariance and only undetectable faults") {
  const StateSpace model = built(two_tank_settings());
  const Detectability seen = detectability(model, {});
  CHECK_FALSE(seen.observable);
  CHECK(seen.detectable);
  CHECK(seen.unobservable_states == Names{"level_1", "level_2"});
  const auto steady = steady_state(model, {});
  REQUIRE(steady.ok());
  const MatrixXd& P = steady.value().P;
  CHECK((model.A * P * model.A.transpose() + model.Q - P).norm() <= 1e-10 * P.norm());
  CHECK(steady.value().P_post == P);
  CHECK(steady.value().Sigma.size() == 0);
  CHECK(steady.value().K.cols() == 0);
  const Ambiguity found = ambiguity_of(model, {});
  CHECK(found.groups.empty());
  CHECK(found.undetectable == Names{"pump.fault", "level_1.disturbance", "level_2.disturbance"});
}

TEST_CASE("detectability with some outputs only is that of the model cut down to them") {
  const StateSpace model = built(two_tank_settings());
  CHECK(detectability(model, {0, 1}).observable);
  CHECK(detectability(model, {1}).observable);
  const Detectability first = detectability(model, {0});
  CHECK_FALSE(first.observable);
  CHECK(first.detectable);
  CHECK(first.unobservable_states == Names{"level_2"});
}
