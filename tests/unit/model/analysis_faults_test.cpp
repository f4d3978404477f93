// Which faults the innovations of the steady-state filter can tell apart.
#include <Eigen/LU>
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

// The plant with a fault against the filter, run until nothing moves any more.
VectorXd settled_innovation(const StateSpace& model, const MatrixXd& K, const VectorXd& disturbance,
                            const VectorXd& bias) {
  VectorXd x = VectorXd::Zero(model.n_x());
  VectorXd x_hat = x;
  VectorXd innovation;
  for (int k = 0; k < 5000; ++k) {
    innovation = model.C * x + bias - model.C * x_hat;
    x_hat = (model.A * x_hat + K * innovation).eval();
    x = (model.A * x + disturbance).eval();
  }
  return innovation;
}

}  // namespace

TEST_CASE("fault_signatures are what a long run of plant and filter comes to") {
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
    REQUIRE(faults.size() == static_cast<std::size_t>(n + p));
    for (Index i = 0; i < n + p; ++i) {
      const VectorXd bias = i < p ? VectorXd(VectorXd::Unit(p, i)) : VectorXd(VectorXd::Zero(p));
      const VectorXd disturbance = i < p ? VectorXd(VectorXd::Zero(n)) : VectorXd(VectorXd::Unit(n, i - p));
      const VectorXd settled = settled_innovation(model, steady.value().K, disturbance, bias);
      const auto& fault = faults[static_cast<std::size_t>(i)];
      CHECK(fault.name ==
            (i < p ? "y" + std::to_string(i + 1) + ".bias" : "x" + std::to_string(i - p + 1) + ".disturbance"));
      // Whitening keeps νᵀ Σ⁻¹ ν, whatever root of Σ it takes.
      const double expected = settled.dot(steady.value().Sigma.inverse() * settled);
      CHECK(fault.innovation.squaredNorm() == Approx(expected).epsilon(1e-9));
    }
  }
}

TEST_CASE("ambiguity of two tanks is the last tank's sensor against its leak and nothing else") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {0, 1});
  // A leak of the second tank and an offset of its sensor both move that one level only; a wrong first level moves
  // both.
  CHECK(found.groups == std::vector<Names>{{"level_2.bias", "level_2.disturbance"}});
  CHECK(found.undetectable.empty());
}

TEST_CASE("ambiguity with one measured output is one group of all that it shows") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {1});
  CHECK(found.groups == std::vector<Names>{{"level_2.bias", "level_1.disturbance", "level_2.disturbance"}});
  CHECK(found.undetectable.empty());
}

TEST_CASE("ambiguity names a disturbance that no measured output shows as undetectable") {
  const Ambiguity found = ambiguity_of(built(two_tank_settings()), {0});
  CHECK(found.groups == std::vector<Names>{{"level_1.bias", "level_1.disturbance"}});
  CHECK(found.undetectable == Names{"level_2.disturbance"});
}

TEST_CASE("ambiguity names the bias of an integrating state's only sensor as undetectable") {
  ModelSettings s = two_tank_settings();
  s.A = {{1.0, 0.0}, {0.02, 0.97}};  // the first tank has no outlet of its own
  const Ambiguity found = ambiguity_of(built(s), {0});
  CHECK(found.undetectable == Names{"level_1.bias", "level_2.disturbance"});
  CHECK(found.groups.empty());

  s.A[0][0] = 1.0 - 1e-4;  // a slow leak already gives it away, in the long run
  CHECK(ambiguity_of(built(s), {0}).undetectable == Names{"level_2.disturbance"});
}

TEST_CASE("ambiguity of two sensors of one state is which of them is wrong, and a third one decides") {
  ModelSettings s = two_tank_settings();
  s.outputs.push_back({"second", "m", {}, 0.002, {}});
  s.outputs.push_back({"third", "m", {}, 0.002, {}});
  s.C = {{1.0, 0.0}, {0.0, 1.0}, {0.0, 1.0}, {0.0, 1.0}};
  const StateSpace model = built(s);
  // They disagree, which no leak brings about, but neither has a witness.
  CHECK(ambiguity_of(model, {0, 1, 2}).groups == std::vector<Names>{{"level_2.bias", "second.bias"}});
  CHECK(ambiguity_of(model, {0, 1, 2, 3}).groups.empty());
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
  CHECK(found.undetectable == Names{"level_1.disturbance", "level_2.disturbance"});
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
