#include "identification/identify.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "identification/dead_time.hpp"
#include "identification/output_error.hpp"
#include "identification/predictor_gain.hpp"
#include "identification/regression.hpp"
#include "identification/subspace.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Two outputs, two inputs: a pair of complex poles and a real one, white innovations of size `noise`.
LinearModel plant() {
  LinearModel out;
  out.A = MatrixXd(3, 3);
  out.A << 0.85, 0.2, 0.0, -0.2, 0.85, 0.0, 0.0, 0.0, 0.6;
  out.B = MatrixXd(3, 2);
  out.B << 0.5, 0.1, -0.2, 0.4, 0.3, -0.3;
  out.C = MatrixXd(2, 3);
  out.C << 1.0, 0.0, 0.5, 0.2, 1.0, -0.4;
  out.D = MatrixXd(2, 2);
  out.D << 0.0, 0.1, 0.2, 0.0;
  out.K = MatrixXd(3, 2);
  out.K << 0.3, 0.0, 0.1, 0.2, 0.0, 0.1;
  out.o = VectorXd::Zero(2);
  return out;
}

Experiments record_of(const LinearModel& model, Index count, double noise, unsigned seed) {
  std::mt19937 source(seed);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  const auto normal = [&] {
    double sum = 0.0;
    for (int i = 0; i < 12; ++i) sum += uniform(source);
    return 0.5 * sum;
  };
  Experiment out;
  out.u = MatrixXd(model.B.cols(), count);
  out.y = MatrixXd(model.C.rows(), count);
  VectorXd x = VectorXd::Ones(model.A.rows());
  VectorXd u = VectorXd::Zero(model.B.cols());
  for (Index k = 0; k < count; ++k) {
    for (Index j = 0; j < u.size(); ++j) {
      if (uniform(source) > 0.6) u(j) = uniform(source);
    }
    VectorXd e(model.C.rows());
    for (Index i = 0; i < e.size(); ++i) e(i) = noise * normal();
    out.u.col(k) = u;
    out.y.col(k) = model.C * x + model.D * u + e;
    x = model.A * x + model.B * u + model.K * e;
  }
  return {out};
}

}  // namespace

TEST_CASE("Sections with the poles of a matrix are similar to it") {
  const LinearModel given = plant();
  Sections sections = sections_of(given.A, given.C, 2, 2, 1.0);
  CHECK(sections.radius() == Approx(std::sqrt(0.85 * 0.85 + 0.04)));
  const Experiments record = record_of(given, 300, 0.0, 1);
  const Fitted fitted = fit_inputs(record, Focus::simulation, sections);
  CHECK(fitted.errors.maxCoeff() < 1e-10);
}

TEST_CASE("Subspaces of data without noise have the poles of the plant by both weightings") {
  const LinearModel given = plant();
  const auto subspace = Subspace::of(record_of(given, 800, 1e-6, 2), 8);
  REQUIRE(subspace);
  for (const Weighting weighting : {Weighting::cva, Weighting::moesp}) {
    const Dynamics found = subspace->plant(3, weighting);
    CHECK(model::spectral_radius(found.A) == Approx(model::spectral_radius(given.A)).epsilon(1e-3));
    CHECK(found.A.trace() == Approx(given.A.trace()).epsilon(1e-3));
  }
}

TEST_CASE("Refinement leads from poles that are off to those of the plant") {
  const LinearModel given = plant();
  const Experiments record = record_of(given, 600, 0.0, 3);
  LinearModel off = given;
  off.A.diagonal().array() -= 0.05;
  FitSettings settings;
  settings.steps = 60;
  settings.converged = 1e-12;
  const Fitted fitted = fit(record, Focus::simulation, sections_of(off.A, off.C, 2, 2, 1.0), settings);
  CHECK(fitted.errors.maxCoeff() < 1e-8);
  CHECK(fitted.sections.radius() == Approx(model::spectral_radius(given.A)).epsilon(1e-3));
}

TEST_CASE("Samples that were filled do not matter to a fit") {
  const LinearModel given = plant();
  Experiments record = record_of(given, 400, 0.0, 4);
  for (Index k = 20; k < 400; k += 30) {
    record[0].y(1, k) += 100.0;
    record[0].missing.emplace_back(1, k);
  }
  const Fitted fitted = fit_inputs(record, Focus::simulation, sections_of(given.A, given.C, 2, 2, 1.0));
  CHECK(fitted.errors.maxCoeff() < 1e-9);
}

TEST_CASE("The gain is found from the one-step errors, and Q, R and S lead to it with a positive P") {
  const LinearModel given = plant();
  const Experiments record = record_of(given, 4000, 0.3, 5);
  LinearModel without = given;
  without.K.resize(0, 0);
  const Gain gain = fit_gain(record, without);
  CHECK((gain.K - given.K).cwiseAbs().maxCoeff() < 0.06);
  const Noise noise = split_noise(given, gain);
  model::StateSpace space;
  space.A = noise.T_inverse * given.A * noise.T;
  space.B = noise.T_inverse * given.B;
  space.C = given.C * noise.T;
  space.D = given.D;
  space.Q = noise.Q;
  space.R = noise.R;
  space.S = noise.S;
  for (const char* name : {"x1", "x2", "x3"}) space.states.push_back({name, "", {}});
  const auto steady = model::steady_state(space);
  REQUIRE(steady.ok());
  CHECK((steady.value().K - noise.T_inverse * gain.K).cwiseAbs().maxCoeff() < 1e-9);
  CHECK((steady.value().Sigma - gain.Ry).cwiseAbs().maxCoeff() < 1e-9 * gain.Ry.norm());
  CHECK(steady.value().P.diagonal().minCoeff() > 0.1);
}

TEST_CASE("An ARX model of enough lags predicts what the plant's own predictor would") {
  const LinearModel given = plant();
  const Experiments record = record_of(given, 4000, 0.3, 6);
  const Regression found = arx(record, 10, 1.0);
  CHECK(found.radius < 1.0);
  const MatrixXd covariance = innovation_covariance(record, found.model);
  CHECK(covariance.diagonal().maxCoeff() < 1.1 * innovation_covariance(record, given).diagonal().maxCoeff());
}

TEST_CASE("Dead times are found by input, and are taken out of a record") {
  const LinearModel given = plant();
  Experiments record = record_of(given, 1500, 0.02, 7);
  Experiment late = record[0];
  const Index delay = 17;
  late.u.row(1).head(1500 - delay) = record[0].u.row(1).segment(delay, 1500 - delay);  // leads now by so many ticks
  late.u.row(1).tail(delay).setConstant(record[0].u(1, 1499));
  const auto found = dead_times({late});
  CHECK(found.at(0) == 0);
  CHECK(found.at(1) == delay);
  const Experiments again = without_dead_times({late}, {0, delay});
  CHECK(again.at(0).u(1, 0) == late.u(1, 0));
  CHECK(again.at(0).y(0, 0) == late.y(0, delay));
}

TEST_CASE("A slow plant that is moved seldom has no dead time, unless it has one") {
  struct Case {
    Index delay, moves, count;
    double noise, ticks;  // standard deviation; time constant
    bool is_told;
  };
  for (const Case& c : {Case{0, 6, 1200, 0.1, 50.0, true}, Case{0, 6, 1200, 0.3, 50.0, true},
                        Case{0, 9, 1800, 0.1, 50.0, true}, Case{18, 6, 1200, 0.002, 50.0, true},
                        Case{18, 6, 1200, 0.03, 50.0, false}, Case{30, 60, 1200, 0.03, 5.0, true}}) {
    for (unsigned seed = 1; seed <= 24; ++seed) {
      CAPTURE(c.delay, c.moves, c.noise, seed);
      std::mt19937 random(seed);
      std::uniform_int_distribution<Index> tick(60, c.count - 60);
      std::uniform_real_distribution<double> level(-1.0, 1.0);
      std::normal_distribution<double> noise(0.0, c.noise);
      Experiment record{MatrixXd::Zero(1, c.count), MatrixXd::Zero(1, c.count), {}};
      std::vector<Index> moves;
      for (Index i = 0; i < c.moves; ++i) moves.push_back(tick(random));
      std::sort(moves.begin(), moves.end());
      for (const Index at : moves) record.u.row(0).tail(c.count - at).setConstant(level(random));
      double x = 0.0;
      for (Index k = c.delay; k < c.count; ++k) {
        record.y(0, k) = x + noise(random);
        x += (record.u(0, k - c.delay) - x) / c.ticks;
      }
      const Index found = dead_times({record}).at(0);
      // The input of a step acts at the end of it: one tick is the plant's own.
      const bool right = found == (c.delay == 0 ? 0 : c.delay + 1);
      if (c.is_told)
        CHECK(right);
      else
        CHECK((right || found == 0));
    }
  }
}

TEST_CASE("A model of the plant's order comes out, whoever runs the jobs") {
  const LinearModel given = plant();
  const Experiments record = record_of(given, 1000, 0.05, 8);
  IdentifySettings settings;
  const auto found = identify(record, {"a", "b"}, {"c", "d"}, settings);
  REQUIRE(found.ok());
  CHECK(found.value().verdict == Verdict::accept);
  CHECK(found.value().order <= 4);
  for (const auto& one : found.value().outputs) CHECK(one.simulation > 80.0);
  settings.for_each = [](std::size_t count, const std::function<void(std::size_t)>& job) {
    for (std::size_t i = count; i-- > 0;) job(i);
  };
  const auto again = identify(record, {"a", "b"}, {"c", "d"}, settings);
  REQUIRE(again.ok());
  CHECK(again.value().A == found.value().A);
}
